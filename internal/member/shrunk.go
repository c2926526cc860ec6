package member

import (
	"time"

	"github.com/musterhq/muster/statemachine"
)

// An image shares its files with the machine, and keeps on disk what the machine
// has given up since. Where much is written, the next image frees that soon. A
// machine that has shrunk and is not written to any more gets one for its own sake:
// when the newest image is larger than twice the machine, and than imageSlack
// more, and the machine has come to rest.
const (
	lookEvery  = 10 * time.Second // between two looks at the machine's size
	imageSlack = 64 << 20         // bytes
	atRest     = 8 << 20          // bytes that it may have shrunk since the last look
)

// shrunk is what was seen of the machine's size.
type shrunk struct {
	looking bool
	next    uint64 // tick of the next look
	size    int64  // at the last look; bytes
}

// lookForShrunk looks at the machine's size, off the loop, when it is time, and
// begins an image where that frees much.
func (m *Member) lookForShrunk() {
	s := &m.images.shrunk
	machine, ok := m.disk.Machine.(statemachine.Sized)
	if !ok || s.looking || m.ticks < s.next {
		return
	}
	s.looking, s.next = true, m.ticks+uint64(lookEvery/m.cfg.Heartbeat)
	var size int64
	var settled bool
	m.body.Later(func() { size, settled = machine.ImageBytes() }, func() {
		was := s.size
		s.looking, s.size = false, size
		if settled && was-size <= atRest && m.imageTooLarge(size) {
			m.takeImage()
		}
	})
}

// imageTooLarge says whether a new image of that size would free much. It is of
// no use where nothing was applied since the last: there is one image of an index.
func (m *Member) imageTooLarge(size int64) bool {
	img := m.images.current
	if img == nil || m.rep == nil {
		return false
	}
	applied, _ := m.rep.Indexes()
	return applied > img.Index && img.Size() > 2*size+imageSlack
}
