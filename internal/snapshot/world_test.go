package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"path"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/goleak"

	"github.com/musterhq/muster/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// contents is an image's files, by path.
type contents map[string][]byte

func someContents(seed uint64) contents {
	return contents{
		"000001.sst":      noise(seed, 3000),
		"000002.sst":      noise(seed+1, 2*blockSize+17),
		"empty":           {},
		"sub/deep/x.blob": noise(seed+2, 500),
	}
}

func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func testMeta(index uint64) Meta {
	yes := true
	m := Meta{Index: index, Term: 7, ConfState: &raftpb.ConfState{
		Voters: []uint64{1, 1<<63 + 5}, VotersOutgoing: []uint64{1, 2}, Learners: []uint64{9}, LearnersNext: []uint64{2}, AutoLeave: &yes,
	}}
	m.Membership = cluster.Membership{Cluster: "c", ID: cluster.ClusterID{1}}
	m.Membership.Put(cluster.Member{ID: 1, Name: "a", Role: cluster.Voter})
	m.Membership.Record(cluster.Outcome{Request: "r", Index: 3})
	return m
}

func openStore(t testing.TB, fs vfs.FS, dir string) *Store {
	t.Helper()
	s, err := Open(dir, fs)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// errMachine is wrapped where a machine couldn't write its checkpoint: that is
// told as it is.
var errMachine = errors.New("machine")

// checkpoint writes the files as a machine would: synced by nobody.
func checkpoint(fs vfs.FS, dir string, c contents) error {
	for _, name := range slices.Sorted(maps.Keys(c)) {
		full := fs.PathJoin(dir, name)
		if err := fs.MkdirAll(fs.PathDir(full), 0o755); err != nil {
			return err
		}
		f, err := fs.Create(full, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		if _, err := f.Write(bytes.Clone(c[name])); err != nil {
			f.Close()
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

func commit(s *Store, m Meta, c contents) (*Image, error) {
	d, err := s.Draft()
	if err != nil {
		return nil, err
	}
	defer d.Abort()
	if err := checkpoint(s.disk.fs, d.Dir(), c); err != nil {
		return nil, fmt.Errorf("%w: %w", errMachine, err)
	}
	return d.Commit(m)
}

func mustCommit(t testing.TB, s *Store, index uint64, c contents) *Image {
	t.Helper()
	i, err := commit(s, testMeta(index), c)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func sameContents(t testing.TB, i *Image, want contents) {
	t.Helper()
	if i == nil {
		t.Fatal("no image")
	}
	if err := holds(i, want); err != nil {
		t.Fatal(err)
	}
}

// holds reads the image back and compares.
func holds(i *Image, want contents) error {
	if err := i.Verify(); err != nil {
		return err
	}
	files, _, err := i.disk.tree(i.Dir())
	if err != nil {
		return err
	}
	if names := slices.Sorted(maps.Keys(want)); !slices.Equal(files, names) {
		return fmt.Errorf("image %d: files are %q, want %q", i.Index, files, names)
	}
	for name, b := range want {
		got, err := i.disk.readFile(path.Join(i.Dir(), name), 1<<30)
		if err != nil || !bytes.Equal(got, b) {
			return fmt.Errorf("image %d: %s: %d bytes, not the %d written; %w", i.Index, name, len(got), len(b), err)
		}
	}
	return nil
}

// outcome is what both ends of a transfer say.
type outcome struct {
	img     *Image
	message []byte
	sent    error
	got     error
	resumed int64 // bytes that the receiver had at the start; -1: it didn't come to that
}

// transfer sends img to dst. wrap, if not nil, is put around the sender's end.
func transfer(img *Image, dst *Store, wrap func(net.Conn) net.Conn, so SendOptions, ro ReceiveOptions) outcome {
	near, far := net.Pipe()
	if wrap != nil {
		near = wrap(near)
	}
	out := outcome{resumed: -1}
	progress := so.Progress
	so.Progress = func(sent, total int64) {
		if out.resumed < 0 {
			out.resumed = sent
		}
		if progress != nil {
			progress(sent, total)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		out.sent = Send(context.Background(), near, img, so)
		near.Close()
	}()
	out.img, out.message, out.got = dst.Receive(context.Background(), far, ro)
	far.Close()
	<-done
	return out
}

func mustTransfer(t testing.TB, img *Image, dst *Store) outcome {
	t.Helper()
	o := transfer(img, dst, nil, SendOptions{Message: []byte("msg")}, ReceiveOptions{})
	if o.sent != nil || o.got != nil {
		t.Fatalf("send: %v; receive: %v", o.sent, o.got)
	}
	return o
}

// cutConn closes the connection in the middle of a write, after so many bytes.
type cutConn struct {
	net.Conn
	left int
}

func (c *cutConn) Write(b []byte) (int, error) {
	if len(b) <= c.left {
		c.left -= len(b)
		return c.Conn.Write(b)
	}
	n, _ := c.Conn.Write(b[:c.left])
	c.left = 0
	c.Close()
	return n, fmt.Errorf("cut: %w", net.ErrClosed)
}

func names(t testing.TB, s *Store) []string {
	t.Helper()
	l, err := s.disk.list(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func flip(t testing.TB, fs vfs.FS, name string, at int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x40
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// onBoth runs a test on a disk in memory and on a real one.
func onBoth(t *testing.T, f func(t *testing.T, fs vfs.FS, dir string)) {
	t.Run("memory", func(t *testing.T) { f(t, vfs.NewMem(), "/") })
	t.Run("disk", func(t *testing.T) { f(t, vfs.Default, t.TempDir()) })
}
