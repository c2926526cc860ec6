package sim

import (
	"errors"
	"math/rand/v2"
	"syscall"

	"github.com/musterhq/muster/internal/crashfs"
)

// diskFaults are what a node's disk does to its process.
type diskFaults struct {
	node    *node
	slow    instant // more for each write of the log
	full    bool    // writes fail with ENOSPC
	failing bool    // the next sync or write fails with EIO; then it is mended
	onSync  bool    // failing: syncs only
	cut     int     // the power goes at this operation from now; 0: it stays
	mode    crashfs.Mode
	seed    uint64
	also    func() // nil, or what befalls the others in the moment in which the power goes
}

var (
	errPower = errors.New("the power is gone")
	errIO    = &faultError{syscall.EIO}
	errFull  = &faultError{syscall.ENOSPC}
)

// faultError is an error that the world made.
type faultError struct{ errno syscall.Errno }

func (e *faultError) Error() string { return e.errno.Error() }
func (e *faultError) Unwrap() error { return e.errno }

// faulted says that err came of a fault that the world made.
func (d *diskFaults) faulted(err error) bool {
	var f *faultError
	return errors.As(err, &f) || errors.Is(err, errPower)
}

// latency is how long the log's next write takes.
func (d *diskFaults) latency() instant {
	w := d.node.w
	return millisecond/2 + w.jitter(2*millisecond) + d.slow + w.jitter(d.slow)
}

// attach puts the faults between a process and its disk.
func (d *diskFaults) attach(p *process) {
	d.node.fs.SetHook(func(op crashfs.Op) error { return d.operation(p, op) })
}

func (d *diskFaults) operation(p *process, op crashfs.Op) error {
	if p.doomed != nil || p.dead {
		return errPower
	}
	if d.cut > 0 {
		if d.cut--; d.cut == 0 {
			p.doomed = d.node.fs.Crash(d.mode, d.seed)
			d.node.w.sometimes(powerInOperation)
			if d.also != nil {
				d.node.w.after(0, "power", d.also)
			}
			return errPower
		}
	}
	syncs := op.Kind == crashfs.Sync || op.Kind == crashfs.SyncData
	switch {
	case d.full && (op.Kind == crashfs.Write || op.Kind == crashfs.Create || op.Kind == crashfs.Mkdir):
		d.node.w.sometimes(diskFull)
		return errFull
	case d.failing && (syncs || op.Kind == crashfs.Write && !d.onSync):
		d.failing = false
		d.node.w.sometimes(diskFailed)
		if op.Kind == crashfs.Write {
			return &crashfs.ShortWrite{N: rand.New(rand.NewPCG(d.seed, 5)).IntN(op.Len + 1), Err: errIO}
		}
		return errIO
	}
	return nil
}
