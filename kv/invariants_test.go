package kv

import (
	"bytes"
	"context"
	"maps"
	"reflect"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// sound holds what a store has on disk, and in memory, against itself: what one
// part of it says must be what the others say. No command may come meanwhile.
func (s *Store) sound(t testing.TB) {
	t.Helper()
	st := s.live.state.Load()
	if st.compacted > st.current {
		t.Fatalf("compacted at %d, and the last write is at %d", st.compacted, st.current)
	}
	events := s.soundEvents(t, st)
	newest := map[string]mvcc.Meta{}
	for key, versions := range allVersions(t, s) {
		soundVersions(t, st, key, versions)
		newest[key] = versions[0].meta
		for _, v := range versions {
			e, there := events[v.rev]
			if there && (string(e.Key) != key || e.Deleted != (v.meta.Version == 0) || e.Created != (v.meta.Version == 1)) {
				t.Fatalf("key %q has at %v version %+v, and the event log %+v of key %q", key, v.rev, v.meta, e, e.Key)
			}
			if !there && v.rev.Main > st.compacted {
				t.Fatalf("the event log has nothing of key %q at %v", key, v.rev)
			}
			delete(events, v.rev)
		}
	}
	for rev, e := range events {
		if rev.Main >= st.compacted {
			t.Fatalf("the event log has key %q at %v, and there is no such version", e.Key, rev)
		}
	}
	s.soundAttachments(t, newest)
	s.soundMemory(t, newest)
}

// storedVersion is one of a key.
type storedVersion struct {
	rev  mvcc.Revision
	meta mvcc.Meta
}

// allVersions are those on disk, by key, the newest first.
func allVersions(t testing.TB, s *Store) map[string][]storedVersion {
	t.Helper()
	all := map[string][]storedVersion{}
	var v view
	lower, upper := span{open: true}.bounds()
	must(t, eachEntry(context.Background(), s.live.db, lower, upper, func(it *pebble.Iterator) error {
		cur, rev, err := v.decode(it)
		all[string(cur.key)] = append(all[string(cur.key)], storedVersion{rev, cur.meta})
		it.Next()
		return err
	}))
	return all
}

// soundVersions: each one goes on from the one before, of which none is missing
// but what a purge took.
func soundVersions(t testing.TB, st *state, key string, versions []storedVersion) {
	t.Helper()
	for i, v := range versions {
		before := storedVersion{}
		if i+1 < len(versions) {
			before = versions[i+1]
		}
		want := mvcc.Meta{Create: v.rev.Main, Version: 1, Lease: v.meta.Lease}
		switch purged := i+1 == len(versions) && v.rev.Main <= st.compacted; {
		case v.rev.Main > st.current:
			t.Fatalf("key %q is written at %v, and the last write is at %d", key, v.rev, st.current)
		case purged && (v.meta.Version == 0 || v.meta.Create <= v.rev.Main):
			continue
		case v.meta.Version == 0 && before.meta.Version > 0:
			continue
		case before.meta.Version > 0:
			want.Create, want.Version = before.meta.Create, before.meta.Version+1
		}
		if v.meta != want {
			t.Fatalf("key %q is at %v %+v, after %+v", key, v.rev, v.meta, before)
		}
	}
}

// soundEvents: the event log has every revision from where it begins, and within
// each every change, numbered from 0. It begins no later than the mark; before
// that perhaps in the midst of a revision, with a record of which the rest is purged.
func (s *Store) soundEvents(t testing.TB, st *state) map[mvcc.Revision]mvcc.Event {
	t.Helper()
	all := map[mvcc.Revision]mvcc.Event{}
	var last *mvcc.Revision
	must(t, eachEntry(context.Background(), s.live.db, mvcc.AppendEventKey(nil, mvcc.Revision{}), mvcc.AppendEventEnd(nil), func(it *pebble.Iterator) error {
		r, ok := mvcc.ReadEvents(it.Key(), it.Value())
		for ok {
			var e mvcc.Event
			var more bool
			if e, more, ok = r.Next(); !more {
				break
			}
			next := last == nil && (e.Sub == 0 && e.Main <= max(2, st.compacted) || e.Main < st.compacted) || last != nil &&
				(e.Revision == mvcc.Revision{Main: last.Main, Sub: last.Sub + 1} || e.Revision == mvcc.Revision{Main: last.Main + 1})
			if !next {
				t.Fatalf("compacted at %d, the event log has %v after %v", st.compacted, e.Revision, last)
			}
			e.Key = bytes.Clone(e.Key)
			last = &e.Revision
			all[e.Revision] = e
		}
		if !ok {
			t.Fatalf("record %x of the event log can't be read", it.Key())
		}
		it.Next()
		return nil
	}))
	if last != nil && last.Main != st.current || last == nil && st.current > 1 {
		t.Fatalf("the event log ends with %v, and the last write is at %d", last, st.current)
	}
	return all
}

// soundAttachments: on a lease hang the keys that say so, and it is there.
func (s *Store) soundAttachments(t testing.TB, newest map[string]mvcc.Meta) {
	t.Helper()
	lower, upper := mvcc.AllAttachments()
	n := 0
	must(t, scanFacts(s.live.db, lower, upper, func([]byte, []byte) error { n++; return nil }))
	for key, m := range newest {
		if m.Lease == 0 {
			continue
		}
		n--
		if _, ok, err := readFact(s.live.db, mvcc.AppendAttachment(nil, m.Lease, []byte(key))); !ok || err != nil {
			t.Fatalf("key %q says that it hangs on lease %d, which doesn't know (%v)", key, m.Lease, err)
		}
		if _, ok := s.Lease(m.Lease); !ok {
			t.Fatalf("key %q hangs on lease %d, which is not there", key, m.Lease)
		}
	}
	if n != 0 {
		t.Fatalf("%d more keys hang on leases than say so", n)
	}
}

// soundMemory: what is kept in memory is what a start would find.
func (s *Store) soundMemory(t testing.TB, newest map[string]mvcc.Meta) {
	t.Helper()
	g := &generation{db: s.live.db}
	g.state.Store(&state{})
	fresh := applier{known: &known{}}
	must(t, fresh.attach(g))
	is, want := s.applier.known, fresh.known
	if !maps.Equal(is.leases.byID, want.leases.byID) || is.leases.term != want.leases.term || is.leases.seq != want.leases.seq {
		t.Fatalf("leases are %v, and read again %v", is.leases.byID, want.leases.byID)
	}
	alarms := func(k *known) *pb.AlarmResponse { return &pb.AlarmResponse{Alarms: k.alarms.all()} }
	if !proto.Equal(alarms(is), alarms(want)) {
		t.Fatalf("alarms are %v, and read again %v", is.alarms.all(), want.alarms.all())
	}
	soundAuth(t, is.auth.p, want.auth.p)
	if s.Auth() != is.auth.p {
		t.Fatal("users and roles that are asked are not those that hold")
	}
	for key := range newest {
		quick, there, err := s.applier.latest([]byte(key), false)
		must(t, err)
		full, is, err := s.applier.latest([]byte(key), true)
		if err != nil || there != is || quick.meta != full.meta {
			t.Fatalf("key %q is taken for %v %+v, and is %v %+v (%v)", key, there, quick.meta, is, full.meta, err)
		}
	}
	must(t, s.applier.finish())
}

func soundAuth(t testing.TB, is, want *Auth) {
	t.Helper()
	same := is.enabled == want.enabled && is.revision == want.revision &&
		slices.Equal(is.Users(), want.Users()) && slices.Equal(is.Roles(), want.Roles())
	for name, r := range want.roles {
		same = same && proto.Equal(is.roles[name], r)
	}
	for name, u := range want.users {
		a := is.users[name]
		same = same && a != nil && proto.Equal(a.User, u.User) && a.root == u.root && sameKeys(a.read, u.read) && sameKeys(a.write, u.write)
	}
	if !same {
		t.Fatalf("users and roles are %+v, and read again %+v", is, want)
	}
}

func sameKeys(a, b keySet) bool {
	return len(a) == len(b) && (len(a) == 0 || reflect.DeepEqual(a, b))
}
