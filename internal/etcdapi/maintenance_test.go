package etcdapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/internal/backup"
)

func put(t testing.TB, c *clientv3.Client, key, value string) error {
	t.Helper()
	_, err := c.Put(testContext(t), key, value)
	return err
}

// fillRandom puts 40 keys that can't be compressed, of 400 kB together.
func fillRandom(t testing.TB, c *clientv3.Client) {
	t.Helper()
	value := make([]byte, 10_000)
	for i := range 40 {
		rand.Read(value)
		if err := put(t, c, fmt.Sprint(i), string(value)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAlarms(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t), testContext(t)
	raise := func(kind pb.AlarmType) {
		t.Helper()
		_, err := pb.NewMaintenanceClient(r.conn(t)).Alarm(ctx, &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, Alarm: kind, MemberID: 1})
		if err != nil {
			t.Fatal(err)
		}
	}
	raise(pb.AlarmType_NOSPACE)
	if err := put(t, c, "a", "1"); !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Errorf("a put with NOSPACE: %v", err)
	}
	if _, err := c.Delete(ctx, "a"); err != nil {
		t.Errorf("a delete with NOSPACE: %v", err)
	}
	proposed := r.node.proposals
	list, err := c.AlarmList(ctx)
	if err != nil || len(list.Alarms) != 1 || list.Alarms[0].Alarm != pb.AlarmType_NOSPACE || list.Header.MemberId != 1 {
		t.Errorf("alarms: %v, %v", list, err)
	}
	if r.node.proposals != proposed {
		t.Error("a list of alarms entered the log")
	}
	if st, err := c.Status(ctx, "passthrough:///rig"); err != nil || len(st.Errors) != 1 || st.StorageVersion != "3.7.0" || st.DowngradeInfo == nil {
		t.Errorf("status: %v, %v", st, err)
	}
	raise(pb.AlarmType_CORRUPT)
	if _, err := c.Delete(ctx, "a"); !errors.Is(err, rpctypes.ErrCorrupt) {
		t.Errorf("a delete with CORRUPT: %v", err)
	}
	if _, err := c.Get(ctx, "a"); err != nil {
		t.Errorf("a read with CORRUPT: %v", err)
	}
	if got, err := c.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil || len(got.Alarms) != 2 {
		t.Errorf("disarmed: %v, %v", got, err)
	}
	if err := put(t, c, "a", "1"); err != nil {
		t.Errorf("a put after all alarms were cleared: %v", err)
	}
}

// fixedQuota admits up to its limit.
type fixedQuota struct {
	limit     int64
	used      atomic.Int64
	reclaimed atomic.Int64
}

func (q *fixedQuota) Admit(cost int64) bool { return q.used.Add(cost) < q.limit }
func (q *fixedQuota) Limit() int64          { return q.limit }
func (q *fixedQuota) Reclaim(context.Context) error {
	q.reclaimed.Add(1)
	return nil
}

func TestQuota(t *testing.T) {
	q := &fixedQuota{limit: 600}
	r := newRig(t, func(c *Config) { c.Quota = q })
	c, ctx := r.client(t), testContext(t)
	if err := put(t, c, "a", "1"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Txn(ctx).Then(clientv3.OpDelete("b")).Commit(); err != nil {
		t.Fatal(err)
	}
	if got := q.used.Load(); got != 258 {
		t.Errorf("%d bytes were asked for, want those of the put, 258", got)
	}
	proposed := r.node.proposals
	_, err := c.Txn(ctx).Then(clientv3.OpPut("b", "1"), clientv3.OpPut("c", "1")).Commit()
	if !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Errorf("a put beyond the quota: %v", err)
	}
	if n := r.node.proposals - proposed; n != 1 || len(r.node.store.Alarms()) != 1 || r.node.store.Alarms()[0].MemberID != 1 {
		t.Errorf("%d proposals, alarms %v; want the alarm alone", n, r.node.store.Alarms())
	}
	proposed = r.node.proposals
	if err := put(t, c, "a", "1"); !errors.Is(err, rpctypes.ErrNoSpace) || r.node.proposals != proposed {
		t.Errorf("one more: %v, %d proposals for an alarm that is raised", err, r.node.proposals-proposed)
	}
	q.used.Store(0)
	if err := put(t, c, "a", "1"); !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Errorf("a put with the alarm raised: %v", err)
	}
	if st, err := c.Status(ctx, "passthrough:///rig"); err != nil || st.DbSizeQuota != 600 {
		t.Errorf("status: %v, %v", st, err)
	}
	if _, err := c.Defragment(ctx, "passthrough:///rig"); err != nil || q.reclaimed.Load() != 1 {
		t.Errorf("a defragmentation reclaimed space %d times, %v; want once", q.reclaimed.Load(), err)
	}
}

func TestHashes(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t), testContext(t)
	for i := range 3 {
		if err := put(t, c, "a", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	m := pb.NewMaintenanceClient(r.conn(t))
	if h, err := m.Hash(ctx, &pb.HashRequest{}); err != nil || h.Hash == 0 || h.Header.Revision != 4 {
		t.Errorf("hash: %v, %v", h, err)
	}
	at3, err := m.HashKV(ctx, &pb.HashKVRequest{Revision: 3})
	if err != nil || at3.Hash == 0 || at3.HashRevision != 3 || at3.CompactRevision != -1 || at3.Header.Revision != 4 {
		t.Errorf("hash of revision 3: %v, %v", at3, err)
	}
	if _, err := c.Compact(ctx, 3); err != nil {
		t.Fatal(err)
	}
	if h, err := m.HashKV(ctx, &pb.HashKVRequest{}); err != nil || h.HashRevision != 4 || h.CompactRevision != 3 {
		t.Errorf("hash of now: %v, %v", h, err)
	}
	if _, err := m.HashKV(ctx, &pb.HashKVRequest{Revision: 2}); rpctypes.Error(err) != rpctypes.ErrCompacted {
		t.Errorf("hash of a compacted revision: %v", err)
	}
	if _, err := m.HashKV(ctx, &pb.HashKVRequest{Revision: 9}); rpctypes.Error(err) != rpctypes.ErrFutureRev {
		t.Errorf("hash of a future revision: %v", err)
	}
}

func TestDefragmentAndDowngrade(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t), testContext(t)
	if _, err := c.Defragment(ctx, "passthrough:///rig"); err != nil {
		t.Errorf("defragment: %v", err)
	}
	for version, want := range map[string]error{
		"3.6": rpctypes.ErrInvalidDowngradeTargetVersion, "3.6.0": rpctypes.ErrInvalidDowngradeTargetVersion, "3.7.1-rc.1": rpctypes.ErrInvalidDowngradeTargetVersion,
		"3.6.0-": rpctypes.ErrInvalidDowngradeTargetVersion, "3.6.0-a+": rpctypes.ErrInvalidDowngradeTargetVersion,
		"99999999999999999999.6.0": rpctypes.ErrWrongDowngradeVersionFormat, "3.99999999999999999999": rpctypes.ErrWrongDowngradeVersionFormat,
		"": rpctypes.ErrWrongDowngradeVersionFormat, "3": rpctypes.ErrWrongDowngradeVersionFormat, "a.b": rpctypes.ErrWrongDowngradeVersionFormat, "3.6.x": rpctypes.ErrWrongDowngradeVersionFormat,
	} {
		for _, action := range []clientv3.DowngradeAction{clientv3.DowngradeValidate, clientv3.DowngradeEnable} {
			if _, err := c.Downgrade(ctx, action, version); !errors.Is(err, want) {
				t.Errorf("downgrade %v to %q: %v, want %v", action, version, err, want)
			}
		}
	}
	if got, err := c.Downgrade(ctx, clientv3.DowngradeCancel, ""); err != nil || got.Version != "3.7" {
		t.Errorf("cancel a downgrade: %v, %v", got, err)
	}
	_, err := pb.NewMaintenanceClient(r.conn(t)).Downgrade(ctx, &pb.DowngradeRequest{Action: 9})
	if status.Code(err) != codes.Unknown {
		t.Errorf("an unknown action: %v", err)
	}
}

// TestSnapshot: etcd's client gets a whole file, and hears how much is to come.
func TestSnapshot(t *testing.T) {
	r := newRig(t)
	c, ctx := r.client(t), testContext(t)
	fillRandom(t, c)
	resp, err := c.SnapshotWithVersion(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Snapshot.Close()
	file, err := io.ReadAll(resp.Snapshot)
	if err != nil || resp.Version != "3.7.0" || len(file)%512 != sha256.Size {
		t.Fatalf("a snapshot of %d bytes, version %q, %v", len(file), resp.Version, err)
	}
	if h, err := backup.Verify(bytes.NewReader(file)); err != nil || h.Revision != 41 {
		t.Errorf("the snapshot: %+v, %v", h, err)
	}

	stream, err := pb.NewMaintenanceClient(r.conn(t)).Snapshot(ctx, &pb.SnapshotRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var got, left int64
	for first := true; ; first = false {
		m, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if first {
			left = int64(m.RemainingBytes) + int64(len(m.Blob))
		}
		if got += int64(len(m.Blob)); got <= left && int64(m.RemainingBytes) != left-got {
			t.Fatalf("%d bytes to come after %d of %d", m.RemainingBytes, got, left)
		}
	}
	if got != left+sha256.Size {
		t.Errorf("%d bytes came, %d were announced", got, left)
	}
}

// TestSnapshotGivenUp: a client that goes away in the middle leaves nothing.
func TestSnapshotGivenUp(t *testing.T) {
	r := newRig(t, func(c *Config) { c.SnapshotBytesPerSecond = 1 })
	c := r.client(t)
	fillRandom(t, c)
	ctx, cancel := context.WithCancel(context.Background()) // none with an end, in which that rate could not be kept
	defer cancel()
	stream, err := pb.NewMaintenanceClient(r.conn(t)).Snapshot(ctx, &pb.SnapshotRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	if n := r.backups(t); n != 1 {
		t.Errorf("%d backups are on disk while one is sent", n)
	}
	cancel()
	for within := testContext(t); r.backups(t) > 0; {
		if err := within.Err(); err != nil {
			t.Fatal("the backup is still on disk")
		}
	}
}

// TestSnapshotsAtOnce: so many go to clients at once.
func TestSnapshotsAtOnce(t *testing.T) {
	r := newRig(t, func(c *Config) { c.SnapshotBytesPerSecond = 1 })
	fillRandom(t, r.client(t))
	c := pb.NewMaintenanceClient(r.conn(t))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	within := testContext(t)
	for i := range maxSnapshots {
		if _, err := c.Snapshot(ctx, &pb.SnapshotRequest{}); err != nil {
			t.Fatal(err)
		}
		for ; len(r.api.snapshots.slots) <= i; runtime.Gosched() {
			if within.Err() != nil {
				t.Fatalf("snapshot %d is not sent", i)
			}
		}
	}
	if err := firstOf(c.Snapshot(ctx, &pb.SnapshotRequest{})); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("one more: %v, want %v", err, codes.ResourceExhausted)
	}
	cancel()
	for ; len(r.api.snapshots.slots) > 0; runtime.Gosched() {
		if within.Err() != nil {
			t.Fatal("snapshots whose clients are gone still count")
		}
	}
}

// TestUnreadSnapshot: what a client doesn't read is given up some time, and what it
// took on disk is given back.
func TestUnreadSnapshot(t *testing.T) {
	r := newRig(t)
	fillRandom(t, r.client(t))
	r.api.snapshots.patience = 40 * time.Millisecond
	ctx := testContext(t)
	// With a window that doesn't grow, gRPC doesn't read all of it for the client.
	conn, err := grpc.NewClient("passthrough:///rig", grpc.WithContextDialer(r.dial), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithInitialWindowSize(64<<10))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s, err := pb.NewMaintenanceClient(conn).Snapshot(ctx, &pb.SnapshotRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Header(); status.Code(err) == codes.Unavailable { // sent with the first message
		t.Fatal(err)
	}
	for len(r.api.snapshots.slots) > 0 || r.backups(t) > 0 {
		if ctx.Err() != nil {
			t.Fatal("the snapshot that nobody reads is there yet")
		}
		runtime.Gosched()
	}
	for err == nil {
		_, err = s.Recv()
	}
	if status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), "taken nothing") {
		t.Errorf("who has not read hears %v", err)
	}
}

func (r *rig) backups(t testing.TB) (n int) {
	t.Helper()
	names, err := r.disk.List("data")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "backup-") {
			n++
		}
	}
	return n
}
