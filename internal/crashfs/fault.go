package crashfs

import (
	"fmt"
	"syscall"

	"github.com/musterhq/muster/internal/race"
)

// Fault is one way in which an operation fails.
type Fault struct {
	Err  error // an errno, as the kernel would give it
	Half bool  // of a write: its first half gets through
}

func (f Fault) String() string {
	if f.Half {
		return fmt.Sprintf("%s, half-way", f.Err)
	}
	return f.Err.Error()
}

// Faults are those that tests let happen to operation n: a disk that is broken
// and one that is full, before anything and in the midst of a write. Under
// the race detector there is one of them, in turn.
func Faults(n int) []Fault {
	all := []Fault{{syscall.EIO, false}, {syscall.EIO, true}, {syscall.ENOSPC, false}, {syscall.ENOSPC, true}}
	if race.Enabled {
		return all[n%len(all):][:1]
	}
	return all
}

// FailAt makes operation n fail, and no other, in place of any hook. The
// result is that operation, nil before it.
func (f *FS) FailAt(n int, fault Fault) func() *Op {
	var failed *Op
	f.SetHook(func(op Op) error {
		if op.N != n {
			return nil
		}
		failed = &op
		if fault.Half && op.Kind == Write {
			return &ShortWrite{N: op.Len / 2, Err: fault.Err}
		}
		return fault.Err
	})
	return func() *Op {
		f.hookMu.Lock()
		defer f.hookMu.Unlock()
		return failed
	}
}
