package member

import (
	"errors"
	"maps"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// shell is a body and its documents. What is to be done later waits.
type shell struct {
	Body   // what no test needs
	later  []func()
	failed error

	state   State
	peers   peersDoc
	saves   int
	saveErr error
}

func (s *shell) Later(work, done func()) { s.later = append(s.later, work, done) }
func (s *shell) Fail(err error)          { s.failed = err }

func (s *shell) LoadState(v any) (bool, error) { *v.(*State) = s.state; return true, nil }
func (s *shell) SaveState(v any) error         { s.state = v.(State); return s.saveErr }
func (s *shell) LoadPeers(v any) (bool, error) { *v.(*peersDoc) = s.peers; return true, nil }
func (s *shell) SavePeers(v any) error         { s.peers = v.(peersDoc); s.saves++; return s.saveErr }

func (s *shell) run() {
	for len(s.later) > 0 {
		f := s.later[0]
		s.later = s.later[1:]
		f()
	}
}

func newMember(t *testing.T, s *shell) *Member {
	t.Helper()
	me := someone("n1", 4, "me")
	m := &Member{cfg: Config{Self: me.Self, Epoch: 4, Boots: me.Boots, Cluster: "c"}, body: s, disk: Disk{State: s}}
	if err := m.load(); err != nil {
		t.Fatal(err)
	}
	return m
}

// Only what a member of this node's own cluster says ends it.
func TestRefused(t *testing.T) {
	mine, foreign := cluster.ClusterID{7}, cluster.ClusterID{8}
	for _, c := range []struct {
		name   string
		node   cluster.ClusterID // zero: in no cluster yet
		from   string
		member cluster.ClusterID
		code   wire.RefusalCode
		want   error
	}{
		{"a member", mine, "n2", mine, wire.RefusedRolledBack, ErrRolledBack},
		{"a member, before it was heard that there is a cluster", cluster.ClusterID{}, "n2", mine, wire.RefusedRolledBack, ErrRolledBack},
		{"removed", mine, "n2", mine, wire.RefusedRemoved, ErrRemoved},
		{"no member yet, of an older generation", mine, "n2", mine, wire.RefusedOldGeneration, nil},
		{"this node itself", mine, "n1", mine, wire.RefusedRolledBack, nil},
		{"another cluster", mine, "n2", foreign, wire.RefusedRolledBack, nil},
		{"nobody's member", cluster.ClusterID{}, "n2", cluster.ClusterID{}, wire.RefusedRolledBack, nil},
		{"for another reason", mine, "n2", mine, wire.RefusedMoving, nil},
		{"for being a copy of it", mine, "n2", mine, wire.RefusedCopy, nil},
	} {
		s := &shell{}
		s.state.ClusterID = c.node
		m := newMember(t, s)
		m.Refused(&wire.Refusal{Code: c.code, Reason: "because", From: someone(c.from, 1).Self, Member: c.member})
		if !errors.Is(s.failed, c.want) || (s.failed == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", c.name, s.failed, c.want)
		}
		if (s.state.RolledBack != "") != (c.want == ErrRolledBack) {
			t.Errorf("%s: noted %q", c.name, s.state.RolledBack)
		}
		if c.want != ErrRolledBack {
			continue
		}
		if _, err := New(Config{Disk: m.disk}, s); !errors.Is(err, ErrRolledBack) {
			t.Errorf("%s: started again: %v", c.name, err)
		}
	}
}

// What is met while the last is being written is written next, and once.
func TestMeetIsRemembered(t *testing.T) {
	s := &shell{}
	m := newMember(t, s)
	for _, h := range []wire.Hello{someone("n2", 5, "five"), someone("n3", 1, "one"), someone("n2", 6, "six", "five")} {
		m.meet(h)
	}
	if s.saves != 0 {
		t.Fatal("the loop waited for the disk")
	}
	s.run()
	want := map[cluster.NodeID]wire.Run{someone("n2", 0).Self.NodeID: {Epoch: 6, Boot: "six"}, someone("n3", 0).Self.NodeID: {Epoch: 1, Boot: "one"}}
	if s.saves != 2 || !maps.Equal(s.peers.Met, want) {
		t.Errorf("%d saves, at last %v", s.saves, s.peers.Met)
	}
	if again := newMember(t, s); !maps.Equal(again.met.known.runs(), want) {
		t.Errorf("after a restart: %v", again.met.known)
	}
	m.forgetRemoved(cluster.Membership{Removed: []cluster.Tombstone{{ID: someone("n2", 0).Self.NodeID}, {ID: someone("n3", 0).Self.NodeID}},
		Leaving: []cluster.Member{{ID: someone("n3", 0).Self.NodeID}}})
	if len(m.met.known) != 1 || m.met.known[someone("n3", 0).Self.NodeID].met.Epoch != 1 {
		t.Errorf("n2 was removed, and n3 is leaving: %v", m.met.known)
	}
	s.saveErr = errors.New("disk failed")
	m.meet(someone("n3", 2, "two", "one"))
	s.run()
	if !errors.Is(s.failed, s.saveErr) {
		t.Errorf("it can't be written: %v", s.failed)
	}
}
