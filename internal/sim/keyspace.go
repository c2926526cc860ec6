package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/internal/history"
	"github.com/musterhq/muster/kv"
	"github.com/musterhq/muster/statemachine"
)

// keyspace is the machine of a world that speaks etcd: package kv's, with its
// watches and its leases, its own images and all.
//
// Pebble has goroutines, so that no seed could tell what it has on its disk when
// the power goes. Its files are therefore in a memory that nothing befalls; what
// is on the crash disk, written and synced and sent as registers are, is a
// receipt for one of its images. A receipt that is lost or torn is an image that is.
type keyspace struct {
	receipts registers
	files    *vfs.MemFS
	store    *kv.Store
	linked   int // images that were put beside the store's own files
	wrote    uint64
	applied  uint64
}

// checkpoint is an image of a store: a directory that never changes.
type checkpoint struct {
	files *vfs.MemFS
	dir   string
}

const (
	storeDir = "/store"
	perImage = 5 // a receipt is written so many times more seldom than registers are
)

func newKeyspace(r registers) *keyspace {
	r.every *= perImage
	return &keyspace{receipts: r, files: vfs.NewMem(), store: kv.New(kv.Options{})}
}

// Open implements statemachine.Machine.
func (k *keyspace) Open(dir string) (uint64, error) {
	k.store = kv.New(kv.Options{FS: k.files, CacheBytes: 64 << 10, MemTableBytes: 128 << 10})
	if err := k.files.MkdirAll(storeDir, 0o755); err != nil {
		return 0, err
	}
	if _, err := k.store.Open(storeDir); err != nil {
		return 0, err
	}
	if _, err := k.receipts.Open(dir); err != nil {
		return 0, err
	}
	s := &k.receipts.state
	k.applied, k.wrote = s.Applied, s.Applied
	if s.Image == 0 {
		return 0, nil
	}
	return s.Applied, k.load(s.Image, s.Applied)
}

// load has the store restore an image.
func (k *keyspace) load(image int, through uint64) error {
	img := k.receipts.w.images[image-1]
	k.linked++
	dir := fmt.Sprintf("/image-%d", k.linked)
	if _, err := vfs.Clone(img.files, k.files, img.dir, dir); err != nil {
		return err
	}
	return k.store.Restore(dir, through)
}

// Apply implements statemachine.Machine.
func (k *keyspace) Apply(through uint64, entries []statemachine.Entry) ([]statemachine.Result, error) {
	own := make([]statemachine.Entry, len(entries))
	for i, e := range entries {
		_, e.Command = readCommand(e.Command)
		own[i] = e
	}
	results, err := k.store.Apply(through, own)
	if err != nil {
		return nil, err
	}
	k.applied = through
	if through-k.wrote >= k.receipts.every {
		k.wrote = through
		if err := k.take(); err != nil {
			return nil, err
		}
		return results, k.receipts.write(k.receipts.fs.PathJoin(k.receipts.dir, stateName), false)
	}
	return results, nil
}

// take makes an image, and the receipt for it.
func (k *keyspace) take() error {
	w := k.receipts.w
	dir := fmt.Sprintf("/checkpoint-%d", len(w.images)+1)
	if err := k.files.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := k.store.Checkpoint(dir); err != nil {
		return err
	}
	w.images = append(w.images, checkpoint{k.files, dir})
	k.receipts.state = state{Applied: k.applied, Image: len(w.images), Values: map[string]string{"weight": strings.Repeat("x", 400)}}
	return nil
}

// Checkpoint implements statemachine.Machine.
func (k *keyspace) Checkpoint(dir string) error {
	if err := k.take(); err != nil {
		return err
	}
	return k.receipts.Checkpoint(dir)
}

// Restore implements statemachine.Machine.
func (k *keyspace) Restore(dir string, through uint64) error {
	if err := k.receipts.Restore(dir, through); err != nil {
		return err
	}
	k.applied, k.wrote = through, through
	return k.load(k.receipts.state.Image, through)
}

// Durable implements statemachine.Machine.
func (k *keyspace) Durable() (uint64, error) { return 0, nil }

// Close implements statemachine.Machine.
func (k *keyspace) Close() error { return k.store.Close() }

func (k *keyspace) at() uint64 { return k.applied }

// differs compares all that a client, or another leader, could see.
func (k *keyspace) differs(t *truth) string {
	m := &t.keys
	all := &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}
	resp, err := k.store.Range(context.Background(), all)
	if err != nil {
		return err.Error()
	}
	if _, want := m.now.Do(all); history.Answer(resp, nil) != want {
		return fmt.Sprintf("%s, want %s", history.Answer(resp, nil), want)
	}
	if _, compacted := k.store.Revision(); compacted != m.now.Compacted {
		return fmt.Sprintf("compacted at %d, want %d", compacted, m.now.Compacted)
	}
	leases := k.store.Leases()
	if len(leases) != len(m.now.Leases()) {
		return fmt.Sprintf("leases %v, want %x", leases, m.now.Leases())
	}
	for _, l := range leases {
		if l.TTL != m.now.TTL(l.ID) || l.Remaining != m.noted[l.ID] {
			return fmt.Sprintf("lease %+v, want a TTL of %d, noted %d", l, m.now.TTL(l.ID), m.noted[l.ID])
		}
	}
	return ""
}

// get implements engine. A read may be one of the present or of the past.
func (k *keyspace) get(a *attempt) bool {
	r := a.req.(*pb.RangeRequest) //nolint:forcetypeassert // nothing else is read
	resp, err := k.store.Range(context.Background(), r)
	if errors.Is(err, kv.ErrClosed) {
		return false
	}
	a.answer = history.Answer(resp, err)
	a.w.truth.keys.wasRead(a, r, resp, err)
	return true
}

// A command of a keyspace has the number of its operation before it, as 8 bytes;
// 0: no client's.
func numbered(op int, cmd []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(op)), cmd...)
}

func readCommand(b []byte) (op int, cmd []byte) {
	return int(binary.BigEndian.Uint64(b)), b[8:]
}
