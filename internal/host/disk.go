package host

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/musterhq/muster/event"
)

// Space is what is left on the disk of the data directory.
type Space struct {
	Dir         string
	Free, Total int64 // bytes
}

// low says that little is left: less than a twentieth of the disk, or than 1 GiB
// where a twentieth is more. That leaves time to act: a full disk stops the node.
func (s Space) low() bool { return s.Free < min(s.Total/20, 1<<30) }

// diskWatch is what the watcher has seen last.
type diskWatch struct {
	low atomic.Pointer[Space] // nil: there is space enough
}

// diskPause is between two looks at the disk.
const diskPause = 5 * time.Second

// watchDisk looks at the disk until the host ends.
func (h *Host) watchDisk() {
	if h.cfg.Space == nil {
		return
	}
	ticker := time.NewTicker(diskPause)
	defer ticker.Stop()
	for {
		h.lookAtDisk()
		select {
		case <-ticker.C:
		case <-h.ctx.Done():
			return
		}
	}
}

func (h *Host) lookAtDisk() {
	s, err := h.cfg.Space()
	if err != nil {
		return // not known here; writes will tell
	}
	was := h.disk.low.Load() != nil
	if !s.low() {
		h.disk.low.Store(nil)
	} else {
		h.disk.low.Store(&s)
	}
	if s.low() != was {
		h.emit(event.DiskSpace{Dir: s.Dir, Free: s.Free, Total: s.Total, Low: s.low()})
	}
}

func (d *diskWatch) why() []event.Reason {
	s := d.low.Load()
	if s == nil {
		return nil
	}
	return []event.Reason{{Code: "disk_low",
		Text:   fmt.Sprintf("%s of %s are free on the disk of %s: when it is full, this node stops", event.Bytes(s.Free), event.Bytes(s.Total), s.Dir),
		WayOut: "free some space there, or move the data directory to a larger disk while the node is stopped"}}
}
