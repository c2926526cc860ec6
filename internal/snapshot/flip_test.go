package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"path"
	"strings"
	"testing"

	"golang.org/x/time/rate"

	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/internal/race"
)

// eachFlip gives a disk with one bit of the files below dir flipped, each in
// turn, bits of them for each byte, and returns how many there were.
func eachFlip(t *testing.T, fs *crashfs.FS, dir string, bits int, f func(fs *crashfs.FS, name string, off int)) (flips int) {
	files, _, err := disk{fs}.tree(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := path.Join(dir, file)
		good, err := fs.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all := bits * len(good)
		n := race.Share(all)
		for i := range n {
			at := i * all / n
			off, bad := at/bits, bytes.Clone(good)
			bad[off] ^= 1 << (at % 8)
			img := fs.Kill()
			if err := img.WriteFile(name, bad); err != nil {
				t.Fatal(err)
			}
			flips++
			f(img, name, off)
		}
	}
	return flips
}

// Every bit of an image: refused, by Open or by Verify, with the file's name
// and the bytes that its checksum covers; or harmless.
func TestBitFlipsInAnImage(t *testing.T) {
	fs := crashfs.New()
	good := mustCommit(t, openStore(t, fs, "/s"), 20, atIndex[20])
	harmless := 0
	flips := eachFlip(t, fs, good.dir, 8, func(fs *crashfs.FS, name string, off int) {
		s, err := Open("/s", fs)
		if err == nil {
			err = s.Newest().Verify()
		}
		if err != nil {
			from, to := span(t, err, name)
			if off < from || off >= to {
				t.Fatalf("flip at %s %d: the refusal says %d to %d", name, off, from, to)
			}
			return
		}
		harmless++
		sameContents(t, s.Newest(), atIndex[20])
		if a, b := encodeMeta(t, s.Newest().Meta), encodeMeta(t, good.Meta); a != b {
			t.Fatalf("flip at %s %d: silently %s", name, off, a)
		}
	})
	t.Logf("%d harmless", harmless)
	if harmless > flips/10 {
		t.Errorf("too few were refused: the test flips what is never read")
	}
	crashfs.Report(t, flips, "bit flips", 15_000)
}

// span reads file and bytes out of a refusal.
func span(t *testing.T, err error, name string) (from, to int) {
	t.Helper()
	_, rest, found := strings.Cut(err.Error(), name+": ")
	if i := strings.Index(rest, "bytes "); i >= 0 {
		rest = rest[i:]
	}
	if n, _ := fmt.Sscanf(rest, "bytes %d to %d:", &from, &to); !found || n != 2 || !errors.Is(err, ErrDamaged) {
		t.Fatalf("damage in %s: %v", name, err)
	}
	return from, to
}

func encodeMeta(t *testing.T, m Meta) string {
	t.Helper()
	b, err := m.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Bits of a receipt, after a restart: what was taken in is received again as
// far as it can't be trusted, and the image is right.
func TestBitFlipsInAReceipt(t *testing.T) {
	want := contents{"a": noise(1, 600), "b": noise(2, 2500)}
	src := mustCommit(t, openStore(t, crashfs.New(), "/from"), 20, want)
	fs := crashfs.New()
	dst := openStore(t, fs, "/s")
	slow := rate.NewLimiter(4000, 1<<20) // sends 1 KiB at a time, and waits for nothing
	transfer(src, dst, func(c net.Conn) net.Conn { return &cutConn{c, 3600} }, SendOptions{Limit: slow}, ReceiveOptions{})
	had := dst.receipt.have()
	again := map[int64]int{} // bytes that were resumed from
	flips := eachFlip(t, fs, dst.receiptDir(), 2, func(fs *crashfs.FS, name string, off int) {
		o := transfer(src, openStore(t, fs, "/s"), nil, SendOptions{}, ReceiveOptions{})
		if o.got != nil || o.sent != nil || o.resumed > had {
			t.Fatalf("flip at %s %d: %+v", name, off, o)
		}
		again[o.resumed]++
		sameContents(t, o.img, want)
	})
	t.Logf("resumed at %v of %d", again, had)
	if had != 600+2048 || again[0] == 0 || again[600] == 0 || again[had] > flips/10 {
		t.Errorf("resumed at %v: the test flips what doesn't matter", again)
	}
	crashfs.Report(t, flips, "bit flips", 2000)
}
