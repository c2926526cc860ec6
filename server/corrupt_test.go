package server

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/kv"
)

func membersOf(ids ...cluster.NodeID) (out []cluster.MemberStatus) {
	for _, id := range ids {
		out = append(out, cluster.MemberStatus{Member: cluster.Member{ID: id, Name: "n" + id.String()[15:], Role: cluster.Voter}})
	}
	return out
}

// TestJudge: whoever differs from what more than half of all members hold.
func TestJudge(t *testing.T) {
	h := func(sum uint32) *hashAnswer { return &hashAnswer{Hash: sum, Compacted: 5} }
	otherwise := &hashAnswer{Hash: 9, Compacted: 4}
	for _, c := range []struct {
		name     string
		answers  []*hashAnswer
		compared int
		differ   []cluster.NodeID
		unclear  bool
	}{
		{"all the same", []*hashAnswer{h(1), h(1), h(1)}, 3, nil, false},
		{"one differs", []*hashAnswer{h(1), h(1), h(2)}, 3, []cluster.NodeID{3}, false},
		{"this one differs", []*hashAnswer{h(2), h(1), h(1)}, 3, []cluster.NodeID{1}, false},
		{"each differs", []*hashAnswer{h(1), h(2), h(3)}, 3, nil, true},
		{"one is silent", []*hashAnswer{h(1), nil, h(1)}, 2, nil, false},
		{"one is silent, and two are no majority", []*hashAnswer{h(1), nil, h(2)}, 2, nil, true},
		{"one has compacted otherwise", []*hashAnswer{h(1), h(1), otherwise}, 2, nil, false},
		{"two of five differ", []*hashAnswer{h(1), h(2), h(1), h(3), h(1)}, 5, []cluster.NodeID{2, 4}, false},
	} {
		v := judge(membersOf(1, 2, 3, 4, 5)[:len(c.answers)], c.answers, 5)
		if v.Compared != c.compared || !slices.Equal(v.Differ, c.differ) || v.Unclear != c.unclear {
			t.Errorf("%s: %+v, want %d compared, %v differ, unclear %v", c.name, v, c.compared, c.differ, c.unclear)
		}
	}
}

// TestOneStaysBehind: it is left out, and another one is found out all the same.
func TestOneStaysBehind(t *testing.T) {
	r := newRig(t)
	own := r.store.(*kv.Store)
	r.node.set(func(st *cluster.Status) { st.Members = membersOf(1, 2, 3, 4) })
	r.node.ask = func(ctx context.Context, to cluster.NodeID, q []byte) ([]byte, error) {
		switch to {
		case 2:
			return json.Marshal(hashAnswer{Behind: true})
		case 3:
			return json.Marshal(hashAnswer{Hash: 1, Compacted: -1})
		}
		return (&early{store: own}).answer(ctx, 1, q)
	}
	c := checker{node: r.node, store: r.store, retry: time.Microsecond}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if got, err := c.check(ctx); err != nil || !slices.Equal(got, []cluster.NodeID{0}) {
		t.Errorf("accused: %v, %v; want 0, as two are no majority of four", got, err)
	}
}

// TestCorruptCheck: a member whose hash differs twice is accused; one that is
// behind is asked again, and one that differed once is let off.
func TestCorruptCheck(t *testing.T) {
	r := newRig(t)
	own := r.store.(*kv.Store)
	r.node.set(func(st *cluster.Status) { st.Members = membersOf(1, 2, 3) })
	right := func(ctx context.Context, q []byte) ([]byte, error) { return (&early{store: own}).answer(ctx, 1, q) }
	wrong, behind := 0, 1
	r.node.ask = func(ctx context.Context, to cluster.NodeID, q []byte) ([]byte, error) {
		if to == 2 && behind > 0 {
			behind--
			return json.Marshal(hashAnswer{Behind: true})
		}
		if to == 3 && wrong > 0 {
			wrong--
			return json.Marshal(hashAnswer{Hash: 1, Compacted: -1})
		}
		return right(ctx, q)
	}
	c := checker{node: r.node, store: r.store, retry: time.Millisecond}
	check := func(want ...cluster.NodeID) {
		t.Helper()
		got, err := c.check(context.Background())
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("accused: %v, %v; want %v", got, err, want)
		}
	}
	check()
	wrong = 1
	check()
	wrong = 2
	check(3)
	wrong = 2
	r.checkOnce(context.Background())
	if a := r.store.Alarms(); len(a) != 1 || a[0].Alarm != pb.AlarmType_CORRUPT || a[0].MemberID != 3 {
		t.Errorf("alarms: %v", a)
	}
	if why := r.Why(); len(why) != 1 || why[0].Code != "alarm_corrupt" || why[0].Peer != 3 || !strings.Contains(why[0].Text, "n3") {
		t.Errorf("why: %+v", why)
	}
	if _, err := (&early{store: own}).answer(context.Background(), 2, []byte("?")); !errors.Is(err, muster.ErrRefused) {
		t.Errorf("an unknown question: %v", err)
	}
	if _, err := (&early{store: own}).answer(context.Background(), 2, []byte("h{")); !errors.Is(err, muster.ErrRefused) {
		t.Errorf("a question that can't be read: %v", err)
	}
	if a, err := (&early{store: own}).answer(context.Background(), 2, []byte(`h{"revision":99}`)); err != nil || !strings.Contains(string(a), `"behind":true`) {
		t.Errorf("a revision that isn't there yet: %s, %v", a, err)
	}
}
