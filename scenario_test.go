package muster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/race"
	"github.com/musterhq/muster/internal/transport"
	"github.com/musterhq/muster/internal/wire"
	"github.com/musterhq/muster/mustertest"
)

// The tests in scenario_*_test.go tell the stories that a cluster has to
// survive, each under a name of its own. Real nodes run in them, in virtual
// time: a wait of an hour costs nothing, and none is for luck.

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// story runs a scenario in virtual time.
func story(t *testing.T, tell func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, tell)
}

// while is d, and under the race detector an eighth: a wait for what must not
// happen repeats itself many times before that, and is dear though time is not.
func while(d time.Duration) time.Duration { return time.Duration(race.Share(int(d))) }

// formed is a running cluster of n founders that all are ready.
func formed(t *testing.T, opt mustertest.Options) *mustertest.Cluster {
	t.Helper()
	c := mustertest.New(t, opt)
	c.Start()
	c.Ready(t.Context())
	return c
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// propose has a command carried out at a member, or ends the test.
func propose(t *testing.T, m *mustertest.Member, command string) {
	t.Helper()
	if _, err := m.Propose(within(t, mustertest.Patience), []byte(command)); err != nil {
		t.Fatalf("propose %.20q at %s: %v", command, m.Name, err)
	}
}

// fill proposes n commands of so many bytes.
func fill(t *testing.T, m *mustertest.Member, label string, n, size int) {
	t.Helper()
	pad := strings.Repeat("x", size)
	for i := range n {
		propose(t, m, fmt.Sprintf("%s-%d-%s", label, i, pad))
	}
}

// once makes sure that each command was applied exactly once at each running member.
func once(t *testing.T, c *mustertest.Cluster, commands ...string) {
	t.Helper()
	for _, name := range c.Running() {
		j := c.Member(name).Journal()
		for _, x := range commands {
			if n := j.Count(x); n != 1 {
				t.Errorf("%s applied %q %d times, want once", name, x, n)
			}
		}
	}
}

func id(m *mustertest.Member) cluster.NodeID { return m.Status().Self.ID }

// lines is a membership as text: who, in which role, at which address.
func lines(s *cluster.Status) string {
	var out []string
	for _, m := range s.Members {
		out = append(out, fmt.Sprintf("%s %s %s %s", m.ID, m.Name, m.Role, m.PeerAddr))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// voters lists the names of the voters, as a member sees them, sorted.
func voters(m *mustertest.Member) []string {
	var out []string
	for _, x := range m.Status().Members {
		if x.Role == cluster.Voter {
			out = append(out, x.Name)
		}
	}
	slices.Sort(out)
	return out
}

func follower(ctx context.Context, c *mustertest.Cluster) *mustertest.Member {
	return c.Member(c.Others(c.Leader(ctx).Name)[0])
}

// why says whether a reason with that code is given, and its text holds the words.
func why(m *mustertest.Member, code string, words ...string) bool {
	for _, r := range m.Why() {
		if r.Code != code {
			continue
		}
		ok := r.WayOut != ""
		for _, w := range words {
			ok = ok && strings.Contains(r.Text, w)
		}
		if ok {
			return true
		}
	}
	return false
}

// stranger speaks the peers' protocol but is no node: it asks what a node
// would, and sees the answers themselves.
type stranger struct {
	self    wire.Identity
	cluster cluster.ClusterID // shown in its Hello; zero: none
	ahead   atomic.Int64      // of its clock, nanoseconds
	tr      *transport.Transport
}

// newStranger is one that can be dialled at its name's address.
func newStranger(t *testing.T, c *mustertest.Cluster, name string, member cluster.ClusterID) *stranger {
	t.Helper()
	inc := cluster.Incarnation{0: 1}
	copy(inc[1:], name)
	s := &stranger{
		self:    wire.Identity{Incarnation: inc, NodeID: inc.NodeID(), Name: name, PeerAddr: mustertest.Addr(name)},
		cluster: member,
	}
	network := c.Config(name).Network
	l, err := network.Listen(s.self.PeerAddr)
	if err != nil {
		t.Fatal(err)
	}
	s.tr = transport.New(transport.Config{Network: network, Listener: l, Handler: s})
	s.tr.Start()
	t.Cleanup(func() { s.tr.Close() })
	return s
}

func (s *stranger) ask(ctx context.Context, member string, req wire.Request) (wire.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	resp, _, err := s.tr.Call(ctx, mustertest.Addr(member), 0, req)
	return resp, err
}

// join asks a member once to be let in.
func (s *stranger) join(ctx context.Context, member string) (*wire.JoinReply, error) {
	resp, err := s.ask(ctx, member, wire.Request{Join: &wire.Join{Self: s.self, Cluster: "muster"}})
	if err == nil && resp.Join == nil {
		err = errors.New("no answer to the question")
	}
	return resp.Join, err
}

func (s *stranger) Hello() wire.Hello {
	h := wire.Hello{Protocol: wire.Protocol, Cluster: "muster", ClusterID: s.cluster, Self: s.self, Stage: wire.Blank, Now: time.Now().Add(time.Duration(s.ahead.Load())).UnixMilli()}
	if !s.cluster.IsZero() {
		h.Stage = wire.InCluster
	}
	return h
}

func (s *stranger) Check(wire.Hello, bool) *wire.Refusal { return nil }

func (s *stranger) Control(_ context.Context, _ wire.Hello, req wire.Request) wire.Response {
	if req.Probe != nil {
		return wire.Response{Probe: &wire.ProbeReply{}}
	}
	return wire.Response{Nack: &wire.Nack{Code: "stranger", Reason: "this is no node"}}
}

func (s *stranger) Messages(wire.Hello, *wire.Batch) error         { return nil }
func (s *stranger) Snapshot(context.Context, wire.Hello, net.Conn) {}
func (s *stranger) Unreachable(cluster.NodeID)                     {}
func (s *stranger) Question(context.Context, wire.Hello, []byte) wire.Answer {
	return wire.Answer{Verdict: wire.Declined}
}
func (s *stranger) Refused(_ cluster.NodeID, _ string, _ *wire.Refusal) {}

// knows says that an error is one of the answers that a caller may get to a
// proposal, and whether it says that the command certainly did not happen.
func knows(t *testing.T, err error) (never bool) {
	t.Helper()
	switch {
	case errors.Is(err, muster.ErrUnknownOutcome):
		return false
	case errors.Is(err, muster.ErrNotLeader), errors.Is(err, muster.ErrNotMember), errors.Is(err, muster.ErrOverloaded), errors.Is(err, muster.ErrStopped):
		return true
	}
	t.Errorf("an answer that says nothing: %v", err)
	return false
}

// ended waits until a node has stopped by itself.
func ended(t *testing.T, m *mustertest.Member) {
	t.Helper()
	select {
	case <-m.Done():
	case <-time.After(time.Minute):
		t.Fatalf("%s goes on: %+v", m.Name, m.Status())
	}
}
