package process

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
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

// A member over its quota has puts refused everywhere, until the alarm is
// cleared.
func TestQuota(t *testing.T) {
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
	if s, err := c.Status(context.Background(), ms[2].client); err != nil || s.DbSizeQuota != 200_000 || len(s.Errors) != 1 {
		t.Errorf("status: %v, %v", s, err)
	}
	if _, err := c.Delete(context.Background(), "a"); err != nil {
		t.Errorf("a delete: %v", err)
	}
	ms[2].term()
	if _, err := c.AlarmDisarm(context.Background(), &clientv3.AlarmMember{}); err != nil {
		t.Fatal(err)
	}
	put(t, c, "a", "1")
}
