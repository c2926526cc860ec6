package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/kv"
)

// hashOf asks a member for the hash of its keys as of a revision.
func hashOf(t *testing.T, m *member, rev int64) *clientv3.HashKVResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	h, err := dial(t, m).HashKV(ctx, m.client, rev)
	if err != nil {
		t.Fatalf("hash of revision %d on %s: %v", rev, m.name, err)
	}
	return h
}

// A snapshot is saved while three members are written to. A new cluster of it has
// exactly what the old one held at one revision, and grows as any other does.
func TestSnapshotUnderLoadThenRestore(t *testing.T) {
	t.Parallel()
	ms := formed(t)
	c := dial(t, ms...)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			v := fmt.Sprint(i)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			_, err := c.Txn(ctx).Then(clientv3.OpPut("a", v), clientv3.OpPut("b", v), clientv3.OpPut("key"+v, v)).Commit()
			cancel()
			if err != nil {
				t.Errorf("write %d: %v", i, err)
				return
			}
		}
	}()
	eventually(t, "some was written", func() bool { return get(t, c, "key20") != "" })
	file := filepath.Join(t.TempDir(), "backup")
	if out, code := muster(t, "snapshot", "save", file, "--endpoint", ms[1].client); code != 0 {
		t.Fatalf("snapshot save: %d\n%s", code, out)
	}
	close(stop)
	<-done

	first := newMember(t, "r1")
	if out, code := muster(t, "restore", file, "--name", first.name, "--data-dir", first.dir); code != 0 {
		t.Fatalf("restore: %d\n%s", code, out)
	}
	all := []*member{first}
	for i := range 2 {
		all = append(all, newMember(t, fmt.Sprint("r", i+2), "--join-only", "--seeds", first.peer))
	}
	for _, m := range all {
		m.start()
	}
	was := ready(t, ms...)
	if is := ready(t, all...); is == was {
		t.Fatal("the restored cluster has the ID of the old one")
	}
	voters(t, first, 3)
	a, b := get(t, dial(t, all...), "a"), get(t, dial(t, all...), "b")
	if a != b || a == "" {
		t.Errorf("a is %q and b %q, which one transaction wrote", a, b)
	}
	restored := hashOf(t, first, 0)
	if restored.HashRevision < 22 {
		t.Errorf("the restored cluster is at revision %d", restored.HashRevision)
	}
	for _, m := range append(ms, all...) {
		if h := hashOf(t, m, restored.HashRevision); h.Hash != restored.Hash || h.CompactRevision != restored.CompactRevision {
			t.Errorf("%s has the hash %08x at revision %d, the restored cluster %08x", m.name, h.Hash, restored.HashRevision, restored.Hash)
		}
	}
	put(t, dial(t, all...), "after", "1")
}

// A member over its quota has puts refused everywhere, until space was given back
// by deleting and compacting alone, and the alarm is cleared.
func TestQuota(t *testing.T) {
	t.Parallel()
	ms := founders(t, 3)
	for i, m := range ms {
		if i == 2 {
			m.args = append(m.args, "--quota-backend-bytes", "200000")
		}
		m.start()
	}
	ready(t, ms...)
	c := dial(t, ms[0])
	value := randomText(20_000)
	eventually(t, "puts are refused", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, err := c.Put(ctx, "a", value)
		return err != nil && err.Error() == "etcdserver: mvcc: database space exceeded"
	})
	eventually(t, "the member tells of the alarm, which the one that refused has heard of first", func() bool {
		s, err := c.Status(context.Background(), ms[2].client)
		return err == nil && s.DbSizeQuota == 200_000 && len(s.Errors) == 1
	})
	gone, err := c.Delete(context.Background(), "a")
	if err != nil {
		t.Fatalf("a delete: %v", err)
	}
	if _, err := c.Compact(context.Background(), gone.Header.Revision); err != nil {
		t.Fatalf("a compaction: %v", err)
	}
	eventually(t, "the space is given back", func() bool {
		s, err := c.Status(context.Background(), ms[2].client)
		return err == nil && s.DbSizeInUse < 50_000
	})
	if _, err := c.AlarmDisarm(context.Background(), &clientv3.AlarmMember{}); err != nil {
		t.Fatal(err)
	}
	put(t, c, "a", value)
}

// A member whose store was changed by hand is found, named, and stops the writes
// of all until it was replaced.
func TestCorruptMemberIsFound(t *testing.T) {
	t.Parallel()
	ms := founders(t, 3)
	for _, m := range ms {
		m.args = append(m.args, "--corrupt-check-time", "1s", "--initial-corrupt-check")
		m.start()
	}
	ready(t, ms...)
	c := dial(t, ms...)
	put(t, c, "a", "1")
	bad := follower(ms, leader(t, ms))
	s, err := bad.status()
	if err != nil {
		t.Fatal(err)
	}
	bad.term()
	tamper(t, filepath.Join(bad.dir, "machine"))
	bad.start()
	ready(t, ms...)
	ctx := context.Background()
	eventually(t, "the alarm is raised", func() bool {
		_, _ = c.Put(ctx, "a", "2") // what was changed are revisions to come
		list, err := c.AlarmList(ctx)
		return err == nil && len(list.Alarms) == 1 && list.Alarms[0].MemberID == uint64(s.Self.ID) && list.Alarms[0].Alarm == pb.AlarmType_CORRUPT
	})
	if _, err := c.Put(ctx, "a", "3"); !errors.Is(err, rpctypes.ErrCorrupt) {
		t.Errorf("a put with a corrupt member: %v", err)
	}
	for _, m := range ms {
		eventually(t, m.name+" tells of it", func() bool { return strings.Contains(m.why(), "alarm_corrupt") })
	}
	bad.term()
	if err := os.RemoveAll(bad.dir); err != nil {
		t.Fatal(err)
	}
	bad.start()
	eventually(t, "the new member holds what the others do", func() bool {
		s, err := bad.status()
		return err == nil && s.Stage == "member" && hashOf(t, bad, 0).Hash == hashOf(t, ms[0], 0).Hash
	})
	if _, err := c.AlarmDisarm(ctx, &clientv3.AlarmMember{}); err != nil {
		t.Fatal(err)
	}
	put(t, c, "a", "4")
}

// tamper has a stopped store's next revision be another than the others'.
func tamper(t *testing.T, machine string) {
	t.Helper()
	db, err := filepath.Glob(filepath.Join(machine, "db-*"))
	if err != nil || len(db) != 1 {
		t.Fatalf("the databases in %s: %v, %v", machine, db, err)
	}
	as := t.TempDir()
	if err := os.Symlink(db[0], filepath.Join(as, "db")); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PrepareFounding(vfs.Default, as, kv.FoundingOptions{BumpRevision: 1}); err != nil {
		t.Fatal(err)
	}
}
