package kv

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/internal/backup"
	"github.com/musterhq/muster/statemachine"
)

// saved writes a backup of the store as a client would get it.
func saved(t testing.TB, s *Store) ([]byte, backup.Header) {
	t.Helper()
	b, err := s.Backup()
	must(t, err)
	var out bytes.Buffer
	must(t, b.Write(context.Background(), &out))
	must(t, b.Close())
	sum := sha256.Sum256(out.Bytes())
	return append(out.Bytes(), sum[:]...), b.Header
}

// opened extracts a backup, prepares it, and gives it to a new store as the
// image that a cluster begins with.
func opened(t testing.TB, file []byte, opt FoundingOptions) *driver {
	t.Helper()
	d := &driver{TB: t, Store: New(smallOptions(vfs.NewMem()))}
	disk := d.opt.FS
	must(t, disk.MkdirAll("image", 0o755))
	must(t, disk.MkdirAll("kv", 0o755))
	_, err := backup.Extract(bytes.NewReader(file), disk, "image")
	must(t, err)
	d.index, err = PrepareFounding(disk, "image", opt)
	must(t, err)
	_, err = d.Open("kv")
	must(t, err)
	must(t, d.Restore("image", d.index))
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

// TestBackupUnderLoad: whatever is written meanwhile, a backup holds the keys of
// one revision, and that one which it names.
func TestBackupUnderLoad(t *testing.T) {
	d := newDriver(t)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			v := fmt.Append(nil, i)
			cmd := encode(t, &pb.TxnRequest{Success: []*pb.RequestOp{putOp("a", string(v)), putOp("b", string(v)), putOp("c"+string(v), strings.Repeat("x", 500))}})
			d.index++
			if _, err := d.Apply(d.index, []statemachine.Entry{{Index: d.index, Command: cmd}}); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	type taken struct {
		file []byte
		h    backup.Header
	}
	var all []taken
	for range 5 {
		before, _ := d.Revision()
		file, h := saved(t, d.Store)
		if h.Revision < before {
			t.Errorf("a backup is at revision %d, and %d was applied before it", h.Revision, before)
		}
		all = append(all, taken{file, h})
	}
	close(stop)
	<-done
	for _, b := range all {
		got := opened(t, b.file, FoundingOptions{})
		if rev, _ := got.Revision(); rev != b.h.Revision || got.index != max(b.h.Applied, firstIndex) {
			t.Errorf("the backup is at revision %d and index %d; it says %+v", rev, got.index, b.h)
		}
		if was, is := d.hashKV(b.h.Revision), got.hashKV(b.h.Revision); was.Sum != is.Sum {
			t.Errorf("at revision %d the backup has the hash %08x, the store %08x", b.h.Revision, is.Sum, was.Sum)
		}
	}
	if left, err := d.opt.FS.List("kv"); err != nil || len(left) != 2 {
		t.Errorf("left in the store's directory: %v, %v", left, err)
	}
}

// TestFounding: what a new cluster begins with.
func TestFounding(t *testing.T) {
	d := newDriver(t)
	d.put("a", "1")
	d.put("a", "2")
	d.do(&pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: 1, Alarm: pb.AlarmType_NOSPACE})
	file, _ := saved(t, d.Store)

	same := opened(t, file, FoundingOptions{})
	same.expect(all(), "a=2@2.3.2", false, 1)
	same.expect(&pb.RangeRequest{Key: []byte("a"), Revision: 2}, "a=1@2.2.1", false, 1)
	if n := len(same.Alarms()); n != 0 {
		t.Errorf("%d alarms of members that are not there", n)
	}
	same.put("b", "3")
	same.expect(all(), "a=2@2.3.2 b=3@4.4.1", false, 2)

	bumped := opened(t, file, FoundingOptions{BumpRevision: 100, MarkCompacted: true})
	if rev, compacted := bumped.Revision(); rev != 103 || compacted != 103 {
		t.Errorf("bumped by 100: revision %d, compacted %d", rev, compacted)
	}
	bumped.put("b", "3")
	bumped.expect(all(), "a=2@2.3.2 b=3@104.104.1", false, 2)

	disk := vfs.NewMem()
	must(t, disk.MkdirAll("image", 0o755))
	_, err := backup.Extract(bytes.NewReader(file), disk, "image")
	must(t, err)
	info, err := InspectImage(context.Background(), disk, "image")
	must(t, err)
	if info.Revision != 3 || info.Keys != 1 || info.Versions != 2 || info.Compacted != -1 || info.Hash != d.hashKV(0) {
		t.Errorf("inspected: %+v", info)
	}
	if _, err := PrepareFounding(disk, "nowhere", FoundingOptions{}); err == nil {
		t.Error("prepared an image that isn't there")
	}
	if _, err := InspectImage(context.Background(), disk, "nowhere"); err == nil {
		t.Error("inspected an image that isn't there")
	}
	for _, by := range []int64{-1, math.MaxInt64} {
		if _, err := PrepareFounding(disk, "image", FoundingOptions{BumpRevision: by}); err == nil {
			t.Errorf("bumped by %d, after which there are no revisions left, or lower ones", by)
		}
	}
}

// TestFoundingWithLeases: a new cluster counts terms from the beginning, and its
// first leader has the leases that an old one's had in a later term.
func TestFoundingWithLeases(t *testing.T) {
	d := newDriver(t)
	d.do(&pb.LeaseGrantRequest{ID: 7, TTL: 60})
	d.do(&pb.PutRequest{Key: []byte("a"), Lease: 7})
	must(t, d.lead(EncodeLeaseCheckpoint(57, 9, noteTTL(7, 30))))
	file, _ := saved(t, d.Store)

	n := opened(t, file, FoundingOptions{})
	if l, ok := n.Lease(7); !ok || l.Remaining != 30 {
		t.Errorf("the lease is %+v, %v; want 30 s left", l, ok)
	}
	must(t, n.lead(EncodeLeaseCheckpoint(2, 1, &pb.LeaseCheckpointRequest{})))
	must(t, n.lead(EncodeLeaseExpiry(2, 7)))
	n.expect(all(), "", false, 0)
}

// TestBackupOfNothing: a cluster may begin with an empty store, too.
func TestBackupOfNothing(t *testing.T) {
	file, h := saved(t, newDriver(t).Store)
	got := opened(t, file, FoundingOptions{})
	if rev, _ := got.Revision(); rev != 1 || h.Revision != 1 || got.index != firstIndex {
		t.Errorf("revision %d, header %+v, index %d", rev, h, got.index)
	}
}

// TestBackupLeftByCrash: the next start deletes it.
func TestBackupLeftByCrash(t *testing.T) {
	disk := vfs.NewMem()
	must(t, disk.MkdirAll("kv", 0o755))
	s := New(smallOptions(disk))
	_, err := s.Open("kv")
	must(t, err)
	_, err = s.Backup() // never closed
	must(t, err)
	must(t, s.Close())
	s = New(smallOptions(disk))
	_, err = s.Open("kv")
	must(t, err)
	defer s.Close()
	if left, err := disk.List("kv"); err != nil || len(left) != 2 {
		t.Errorf("left in the store's directory: %v, %v", left, err)
	}
}
