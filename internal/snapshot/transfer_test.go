package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"golang.org/x/time/rate"

	"github.com/musterhq/muster/internal/wire"
)

func TestRoundTrip(t *testing.T) {
	onBoth(t, func(t *testing.T, fs vfs.FS, dir string) {
		want := someContents(1)
		src := mustCommit(t, openStore(t, fs, fs.PathJoin(dir, "from")), 10, want)
		dst := openStore(t, fs, fs.PathJoin(dir, "to"))
		var last, total int64
		o := transfer(src, dst, nil, SendOptions{Message: []byte("the message")}, ReceiveOptions{
			Accept: func(m Meta) error {
				if m.Index != 10 {
					t.Errorf("asked about index %d", m.Index)
				}
				return nil
			},
			Progress: func(_ Meta, have, all int64) {
				if have < last {
					t.Errorf("progress went from %d to %d", last, have)
				}
				last, total = have, all
			},
		})
		if o.sent != nil || o.got != nil || string(o.message) != "the message" {
			t.Fatalf("%+v", o)
		}
		if last != src.Size() || total != src.Size() {
			t.Errorf("progress ended at %d of %d", last, total)
		}
		sameContents(t, o.img, want)
		if dst.Newest() != o.img {
			t.Error("it is not the newest")
		}
		sameContents(t, openStore(t, fs, fs.PathJoin(dir, "to")).Newest(), want)
		if l := names(t, dst); len(l) != 1 {
			t.Errorf("left behind: %q", l)
		}
		again := mustTransfer(t, src, dst)
		if again.img != o.img || again.resumed != src.Size() || string(again.message) != "msg" {
			t.Errorf("offered again: %+v", again)
		}
	})
}

// The stream is cut after every so many bytes. What was in whole frames is not
// sent again, and the image is whole in the end.
func TestSnapshotStreamCutOrReportLost(t *testing.T) {
	want := contents{"a": noise(1, 700), "b": noise(2, 900), "c/d": noise(3, 1100), "e": {}, "f": noise(4, blockSize+5)}
	fs := vfs.NewMem()
	src := mustCommit(t, openStore(t, fs, "/from"), 10, want)
	for cut := 0; cut < 6000; cut += 61 {
		dst := openStore(t, vfs.NewMem(), "/to")
		dst.markBytes = 300
		o := transfer(src, dst, func(c net.Conn) net.Conn { return &cutConn{c, cut} }, SendOptions{}, ReceiveOptions{})
		if o.sent == nil || o.got == nil {
			t.Fatalf("cut at %d: nobody noticed", cut)
		}
		if dst.Newest() != nil {
			t.Fatalf("cut at %d: half an image is visible", cut)
		}
		have := int64(0)
		if r := dst.receipt; r != nil {
			have = r.have()
		}
		if cut%2 == 0 { // as after a restart
			dst = openStore(t, dst.disk.fs, "/to")
		}
		again := mustTransfer(t, src, dst)
		if again.resumed != have {
			t.Fatalf("cut at %d: went on at %d, had %d", cut, again.resumed, have)
		}
		sameContents(t, again.img, want)
	}
}

// A large file goes on in its middle, after a broken connection and after a
// crash, as far as it was noted.
func TestLargeFileIsResumedInTheMiddle(t *testing.T) {
	want := contents{"big": noise(1, 20*blockSize)}
	src := mustCommit(t, openStore(t, vfs.NewMem(), "/from"), 10, want)
	for _, crash := range []bool{false, true} {
		fs := vfs.NewCrashableMem()
		dst := openStore(t, fs, "/to")
		dst.markBytes = 3 * blockSize
		var crashed *vfs.MemFS
		transfer(src, dst, func(c net.Conn) net.Conn { return &cutConn{c, 11 * blockSize} }, SendOptions{}, ReceiveOptions{
			Progress: func(_ Meta, have, _ int64) {
				if have == 10*blockSize {
					crashed = fs.CrashClone(vfs.CrashCloneCfg{})
				}
			},
		})
		wantAt := int64(10 * blockSize)
		if crash {
			dst, wantAt = openStore(t, crashed, "/to"), 9*blockSize
		}
		o := mustTransfer(t, src, dst)
		if o.resumed != wantAt {
			t.Errorf("crash %v: went on at block %d, want %d", crash, o.resumed/blockSize, wantAt/blockSize)
		}
		sameContents(t, o.img, want)
	}
}

// Many small files are no less safe than one large.
func TestSmallFilesSurviveACrash(t *testing.T) {
	want := contents{}
	for i := range 20 {
		want[fmt.Sprintf("d%d/%02d", i%3, i)] = noise(uint64(i), 1000)
	}
	src := mustCommit(t, openStore(t, vfs.NewMem(), "/from"), 10, want)
	fs := vfs.NewCrashableMem()
	dst := openStore(t, fs, "/to")
	dst.markBytes = 3000
	var crashed *vfs.MemFS
	transfer(src, dst, nil, SendOptions{}, ReceiveOptions{Progress: func(_ Meta, have, _ int64) {
		if have == 13_500 || have == 14_000 {
			crashed = fs.CrashClone(vfs.CrashCloneCfg{})
		}
	}})
	o := mustTransfer(t, src, openStore(t, crashed, "/to"))
	if o.resumed != 12_000 {
		t.Errorf("went on at %d", o.resumed)
	}
	sameContents(t, o.img, want)
}

func TestReceiptDamagedOnDiskIsNotBelieved(t *testing.T) {
	want := contents{"a": noise(1, 1000), "b": noise(2, 4*blockSize)}
	src := mustCommit(t, openStore(t, vfs.NewMem(), "/from"), 10, want)
	for _, file := range []string{"a", "b"} {
		fs := vfs.NewMem()
		dst := openStore(t, fs, "/to")
		transfer(src, dst, func(c net.Conn) net.Conn { return &cutConn{c, 3 * blockSize} }, SendOptions{}, ReceiveOptions{})
		flip(t, fs, fs.PathJoin("/to", receiptName, dataDir, file), 500)
		o := mustTransfer(t, src, openStore(t, fs, "/to"))
		if limit := int64(map[string]int{"a": 0, "b": 1000}[file]); o.resumed != limit {
			t.Errorf("%s: went on at %d, want %d", file, o.resumed, limit)
		}
		sameContents(t, o.img, want)
	}
}

// flipConn damages one byte on the way.
type flipConn struct {
	net.Conn
	at int
}

func (c *flipConn) Write(b []byte) (int, error) {
	if c.at >= 0 && c.at < len(b) {
		b = bytes.Clone(b)
		b[c.at] ^= 1
	}
	c.at -= len(b)
	return c.Conn.Write(b)
}

func TestDamageOnTheWayIsCaught(t *testing.T) {
	want := contents{"a": noise(1, 1000), "b": noise(2, 2000)}
	src := mustCommit(t, openStore(t, vfs.NewMem(), "/from"), 10, want)
	caught := func(t *testing.T, at int) bool {
		dst := openStore(t, vfs.NewMem(), "/to")
		o := transfer(src, dst, func(c net.Conn) net.Conn { return &flipConn{c, at} }, SendOptions{}, ReceiveOptions{})
		if o.sent == nil && at > 3000 {
			return false // behind the end of the stream
		}
		if o.got == nil || o.sent == nil || dst.Newest() != nil {
			t.Fatalf("byte %d: %+v", at, o)
		}
		sameContents(t, mustTransfer(t, src, dst).img, want)
		return true
	}
	for at, more := 0, true; more; at += 97 {
		// In virtual time: a flipped length makes both wait for each other.
		synctest.Test(t, func(t *testing.T) { more = caught(t, at) })
	}
}

func TestDamageAtTheSourceIsNamed(t *testing.T) {
	fs := vfs.NewMem()
	src := mustCommit(t, openStore(t, fs, "/from"), 10, contents{"a": noise(1, 1000), "b": noise(2, 2000)})
	flip(t, fs, fs.PathJoin(src.Dir(), "b"), 1999)
	dst := openStore(t, vfs.NewMem(), "/to")
	o := transfer(src, dst, nil, SendOptions{}, ReceiveOptions{})
	if !errors.Is(o.sent, ErrDamaged) || o.got == nil || dst.Newest() != nil {
		t.Fatalf("%+v", o)
	}

	// Where the sender hasn't read the whole file, the receiver compares.
	dst = openStore(t, vfs.NewMem(), "/to")
	big := mustCommit(t, openStore(t, vfs.NewMem(), "/from"), 10, contents{"b": noise(2, 4*blockSize)})
	transfer(big, dst, func(c net.Conn) net.Conn { return &cutConn{c, 3 * blockSize} }, SendOptions{}, ReceiveOptions{})
	flip(t, big.disk.fs, big.disk.join(big.Dir(), "b"), 4*blockSize-1)
	o = transfer(big, dst, nil, SendOptions{}, ReceiveOptions{})
	var refusal *Refusal
	if !errors.As(o.sent, &refusal) || refusal.Code != RefusedDamaged || !errors.Is(o.got, ErrDamaged) {
		t.Fatalf("%+v", o)
	}
	flip(t, big.disk.fs, big.disk.join(big.Dir(), "b"), 4*blockSize-1)
	if o := mustTransfer(t, big, dst); o.resumed != 0 {
		t.Errorf("went on at %d of a damaged file", o.resumed)
	}
}

func TestRefusals(t *testing.T) {
	src := mustCommit(t, openStore(t, vfs.NewMem(), "/from"), 10, someContents(1))
	check := func(t *testing.T, o outcome, code RefusalCode, want error, words string) {
		t.Helper()
		var r *Refusal
		if !errors.As(o.sent, &r) || r.Code != code || !strings.Contains(r.Reason, words) {
			t.Errorf("sender got %v", o.sent)
		}
		if !errors.Is(o.got, want) {
			t.Errorf("receiver got %v", o.got)
		}
	}
	t.Run("stale", func(t *testing.T) {
		dst := openStore(t, vfs.NewMem(), "/to")
		mustCommit(t, dst, 11, nil)
		check(t, transfer(src, dst, nil, SendOptions{}, ReceiveOptions{}), RefusedStale, ErrStale, "index 11")
	})
	t.Run("declined", func(t *testing.T) {
		no := errors.New("another cluster's")
		dst := openStore(t, vfs.NewMem(), "/to")
		check(t, transfer(src, dst, nil, SendOptions{}, ReceiveOptions{Accept: func(Meta) error { return no }}),
			RefusedDeclined, no, "another cluster's")
	})
	t.Run("busy", func(t *testing.T) {
		dst := openStore(t, vfs.NewMem(), "/to")
		var inner outcome
		o := transfer(src, dst, nil, SendOptions{}, ReceiveOptions{Accept: func(Meta) error {
			inner = transfer(src, dst, nil, SendOptions{}, ReceiveOptions{})
			return nil
		}})
		check(t, inner, RefusedBusy, ErrBusy, "")
		sameContents(t, o.img, someContents(1))
	})
	t.Run("no room", func(t *testing.T) {
		fs := vfs.NewMem()
		fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1000, TotalBytes: 5000})
		dst := openStore(t, fs, "/to")
		check(t, transfer(src, dst, nil, SendOptions{}, ReceiveOptions{}), RefusedNoSpace, ErrNoSpace, "1000 are free")
	})
	t.Run("bad manifest", func(t *testing.T) {
		evil := *src
		evil.Files = append([]File{{Path: "../../evil"}}, evil.Files...)
		check(t, transfer(&evil, openStore(t, vfs.NewMem(), "/to"), nil, SendOptions{}, ReceiveOptions{}), RefusedInvalid, ErrInvalid, "evil")
	})
}

func TestAnotherOfferTakesThePlaceOfAReceipt(t *testing.T) {
	from := openStore(t, vfs.NewMem(), "/from")
	first := mustCommit(t, from, 10, someContents(1))
	second := mustCommit(t, from, 20, someContents(5))
	fs := vfs.NewMem()
	dst := openStore(t, fs, "/to")
	transfer(first, dst, func(c net.Conn) net.Conn { return &cutConn{c, 5000} }, SendOptions{}, ReceiveOptions{})
	if o := mustTransfer(t, second, dst); o.resumed != 0 {
		t.Errorf("went on at %d of another image", o.resumed)
	}
	sameContents(t, openStore(t, fs, "/to").Newest(), someContents(5))
	if l := names(t, dst); len(l) != 1 {
		t.Errorf("left behind: %q", l)
	}
}

func TestThrottle(t *testing.T) {
	src := mustCommit(t, openStore(t, vfs.NewMem(), "/from"), 10, contents{"a": noise(1, 100_000)})
	synctest.Test(t, func(t *testing.T) {
		dst := openStore(t, vfs.NewMem(), "/to")
		begun := time.Now()
		o := transfer(src, dst, nil, SendOptions{Limit: rate.NewLimiter(1000, 500)}, ReceiveOptions{})
		if o.sent != nil || o.got != nil {
			t.Fatal(o.sent, o.got)
		}
		if took := time.Since(begun).Round(time.Second); took < 99*time.Second || took > 101*time.Second {
			t.Errorf("100000 bytes at 1000 a second took %s", took)
		}
	})
}

// A receiver whose disk is slow says so, and is waited for; one that is silent
// is given up.
func TestSlowIsNotSilent(t *testing.T) {
	src := mustCommit(t, openStore(t, vfs.NewMem(), "/from"), 10, contents{"a": noise(1, 1000)})
	synctest.Test(t, func(t *testing.T) {
		slow := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpFileSync {
				time.Sleep(5 * time.Minute)
			}
			return nil
		}))
		o := transfer(src, openStore(t, slow, "/to"), nil, SendOptions{}, ReceiveOptions{})
		if o.sent != nil || o.got != nil {
			t.Fatal(o.sent, o.got)
		}

		near, far := net.Pipe()
		defer far.Close()
		go io.Copy(io.Discard, far)
		begun := time.Now()
		if err := Send(t.Context(), near, src, SendOptions{}); err == nil || time.Since(begun) != defaultIdle {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		near.Close()

		near, far = net.Pipe()
		defer near.Close()
		begun = time.Now()
		if _, _, err := openStore(t, vfs.NewMem(), "/to").Receive(t.Context(), far, ReceiveOptions{}); err == nil || time.Since(begun) != defaultIdle {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
	})
}

func TestContextEndsATransfer(t *testing.T) {
	src := mustCommit(t, openStore(t, vfs.NewMem(), "/from"), 10, someContents(1))
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 2)
		go func() { errs <- Send(ctx, near, src, SendOptions{Limit: rate.NewLimiter(10, 1)}) }()
		go func() {
			_, _, err := openStore(t, vfs.NewMem(), "/to").Receive(ctx, far, ReceiveOptions{})
			errs <- err
		}()
		time.Sleep(time.Second)
		cancel()
		for range 2 {
			if err := <-errs; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
}

// Whatever a sender says instead of the protocol is an error, and nothing more.
func TestReceiverBearsNonsense(t *testing.T) {
	offer := manifest{Version: manifestVersion, Meta: testMeta(3), Files: []File{{Path: "a", Size: 10}}}
	frame := func(p packet) []byte {
		var b bytes.Buffer
		_ = wire.WriteJSON(&b, wire.KindSnapshot, p)
		return b.Bytes()
	}
	chunk := func(n int) []byte { return wire.AppendFrame(nil, wire.KindChunk, make([]byte, n)) }
	for i, said := range [][][]byte{
		{[]byte("GET / HTTP/1.1\r\n\r\n")},
		{frame(packet{Done: true})},
		{frame(packet{Offer: &offer}), frame(packet{Wait: true})},
		{frame(packet{Offer: &offer}), chunk(maxMessage + 1)},
		{frame(packet{Offer: &offer}), chunk(0), chunk(11)},
		{frame(packet{Offer: &offer}), chunk(0), frame(packet{Wait: true})},
		{frame(packet{Offer: &offer}), chunk(0), frame(packet{Failed: "lost my disk"})},
		{frame(packet{Offer: &offer}), chunk(0), wire.AppendFrame(nil, wire.KindMessages, nil)},
		{frame(packet{Offer: &offer}), chunk(0), chunk(10)}, // with another checksum
	} {
		near, far := net.Pipe()
		go io.Copy(io.Discard, near)
		go func() {
			near.Write(slices.Concat(said...))
			near.Close()
		}()
		dst := openStore(t, vfs.NewMem(), "/to")
		if _, _, err := dst.Receive(t.Context(), far, ReceiveOptions{}); err == nil || dst.Newest() != nil {
			t.Errorf("case %d: %v", i, err)
		} else if i == 6 && !strings.Contains(err.Error(), "lost my disk") {
			t.Error(err)
		}
		far.Close()
	}
}

func BenchmarkTransfer(b *testing.B) {
	dir := b.TempDir()
	src := mustCommit(b, openStore(b, vfs.Default, dir+"/from"), 10, contents{"a": noise(1, 64<<20)})
	b.SetBytes(src.Size())
	for i := range b.N {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		near, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		far, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		l.Close()
		errs := make(chan error, 1)
		go func() { errs <- Send(b.Context(), near, src, SendOptions{}) }()
		dst := openStore(b, vfs.Default, fmt.Sprintf("%s/to%d", dir, i))
		if _, _, err := dst.Receive(b.Context(), far, ReceiveOptions{}); err != nil {
			b.Fatal(err)
		}
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
		near.Close()
		far.Close()
		b.StopTimer()
		if err := dst.disk.remove(dst.dir); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
