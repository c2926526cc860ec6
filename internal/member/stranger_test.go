package member

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// calling is a body whose calls a test answers.
type calling struct {
	*still
	calls  []string
	answer func(addr string) error
	events []event.Event
}

func (c *calling) Call(addr string, _ cluster.NodeID, _ wire.Request, _ time.Duration, done func(wire.Response, wire.Hello, error)) {
	c.calls = append(c.calls, addr)
	done(wire.Response{}, wire.Hello{}, c.answer(addr))
}

func (c *calling) Emit(e event.Event) { c.events = append(c.events, e) }

// A member that meets one of another cluster of its name says so, once as an
// event and as a reason for as long as the other is there.
func TestTwoClustersAreTold(t *testing.T) {
	s := newStill(t, 1<<20)
	foe := someone("foe", 1, "x")
	foe.Cluster, foe.ClusterID, foe.Self.PeerAddr = "test", cluster.ClusterID{9}, "foe:1"
	foe.Self.Incarnation[0] ^= 1
	foe.Self.NodeID = foe.Self.Incarnation.NodeID()
	refuses := &wire.Refusal{Code: wire.RefusedClusterID, Reason: "another cluster", From: foe.Self, Member: foe.ClusterID}
	body := &calling{still: s, answer: func(string) error { return refuses }}
	s.m.body = body
	s.m.cfg.Boots = []string{"me"}
	told := func() bool {
		for _, r := range s.m.view.Why {
			if r.Code == "conflict_two_clusters" {
				if r.WayOut == "" || r.Addr != "foe:1" || !strings.Contains(r.Text, foe.ClusterID.String()) || !strings.Contains(r.Text, s.m.state.ClusterID.String()) {
					t.Errorf("%+v", r)
				}
				return true
			}
		}
		return false
	}
	foe.Purpose = wire.ForControl
	r := s.m.view.Judge(foe, true)
	if r == nil || !s.m.view.Stranger(foe, r) {
		t.Fatalf("it is let in, or no stranger: %v", r)
	}
	gone := foe
	gone.Stage = wire.Removed
	if s.m.view.Stranger(gone, r) {
		t.Error("one that was removed from the other cluster is none of it")
	}
	s.m.MetStranger(foe.Self, foe.ClusterID)
	s.m.Refused(refuses) // the other side of the same
	if !told() || len(body.events) != 1 || body.events[0].Kind() != "conflict_two_clusters" {
		t.Fatalf("why %+v, events %+v", s.m.view.Why, body.events)
	}
	round := lookRounds * s.m.cfg.ElectionTicks
	s.ticks(3 * round)
	if !told() || len(body.calls) < 2 || len(body.calls) > 4 {
		t.Fatalf("it is still there; asked %q", body.calls)
	}
	body.answer = func(string) error { return errors.New("connection refused") }
	s.ticks(2 * round)
	if told() {
		t.Fatalf("it is gone: %+v", s.m.view.Why)
	}
	s.m.MetStranger(foe.Self, foe.ClusterID)
	if !told() {
		t.Fatal("it is back")
	}
	for i := range 3 * maxStrangers {
		x := someone(strings.Repeat("x", i+1), 1)
		s.m.MetStranger(x.Self, cluster.ClusterID{8})
	}
	if len(s.m.met.strangers) > maxStrangers {
		t.Fatalf("it remembers %d", len(s.m.met.strangers))
	}
}

// With a leader, an address that a member was told of and at which no member is
// is looked at now and then: another cluster would never be met otherwise.
func TestLooksWhereNoMemberIs(t *testing.T) {
	s := newStill(t, 1<<20)
	body := &calling{still: s, answer: func(string) error { return errors.New("connection refused") }}
	s.m.body = body
	s.m.cfg.Seeds = []string{"a:1", "elsewhere:1"} // a:1 is its own
	s.ticks(5 * lookRounds * s.m.cfg.ElectionTicks)
	if len(body.calls) != 5 || body.calls[0] != "elsewhere:1" {
		t.Fatalf("asked %q", body.calls)
	}
}
