package member

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// bulky is a machine whose images have a size.
type bulky struct {
	*counter
	bytes   int // of the next image
	now     int64
	settled bool
	looks   int
}

func (b *bulky) ImageBytes() (int64, bool) { b.looks++; return b.now, b.settled }

func (b *bulky) Checkpoint(dir string) error {
	b.s.shots++
	f, err := b.s.fs.Create(b.s.fs.PathJoin(dir, "data"), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err := f.Write(make([]byte, b.bytes)); err != nil {
		return err
	}
	return f.Close()
}

func newBulky(t *testing.T, bytes int) (*still, *bulky) {
	s := newStill(t, 1<<20)
	b := &bulky{counter: s.machine, bytes: bytes, now: int64(bytes), settled: true}
	s.m.disk.Machine, s.applier.Machine = b, b
	s.propose(1)
	s.m.takeImage()
	s.rest()
	s.propose(1)
	return s, b
}

const secondsOfTicks = 10

// TestShrunkMachineGetsAnImage: the files of the last image are let go of though
// nothing is written any more, once the machine has come to rest.
func TestShrunkMachineGetsAnImage(t *testing.T) {
	s, b := newBulky(t, 3*imageSlack)
	s.ticks(60 * secondsOfTicks)
	if s.shots != 1 || b.looks < 5 || b.looks > 7 {
		t.Fatalf("%d images and %d looks in a minute: nothing has shrunk", s.shots, b.looks)
	}
	b.now, b.settled = imageSlack/2, false
	s.ticks(30 * secondsOfTicks)
	if s.shots != 1 {
		t.Fatal("an image of a machine that was about to shrink further")
	}
	b.settled = true
	for range 2 {
		b.now -= 2 * atRest
		s.ticks(10 * secondsOfTicks)
	}
	if s.shots != 1 {
		t.Fatal("an image of a machine that was shrinking")
	}
	b.bytes = int(b.now)
	s.ticks(30 * secondsOfTicks)
	if got := s.m.images.current.Size(); s.shots != 2 || got != b.now {
		t.Fatalf("%d images, the newest has %d bytes, want %d", s.shots, got, b.now)
	}
}

// TestShrunkALittle: what is not worth an image.
func TestShrunkALittle(t *testing.T) {
	s, b := newBulky(t, 3*imageSlack)
	b.now = imageSlack // a new one would free two thirds
	s.ticks(60 * secondsOfTicks)
	if s.shots != 1 {
		t.Errorf("%d images", s.shots)
	}
}

// TestShrunkAtTheSameIndex: where nothing was applied since, a new image would
// take nothing's place.
func TestShrunkAtTheSameIndex(t *testing.T) {
	s, b := newBulky(t, 3*imageSlack)
	s.m.takeImage()
	s.rest()
	b.now = 0
	s.ticks(60 * secondsOfTicks)
	if s.shots != 2 {
		t.Errorf("%d images", s.shots)
	}
}
