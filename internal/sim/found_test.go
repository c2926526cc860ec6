package sim

import (
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/formation"
)

// Stories that seeds told before these tests did; see docs/robustness.md.

// A member is away while two others join and one of them comes to lead. When it
// is back it is the last to hear of its leader, and has to answer it all the same.
func TestAwayWhileTheLeaderJoined(t *testing.T) {
	s := newScene(t, 20, 5).formed()
	late, first := s.nodes[4], s.nodes[0]
	late.kill()
	n := s.join()
	s.join() // voters come in pairs
	s.until("both stand by", func() bool { return len(s.truth.latest.Members) == 7 && n.proc.view.Status.Applied > 0 })
	s.remove(first.inc.NodeID(), first.host)
	s.until("it votes", func() bool { return s.role(n) == cluster.Voter })
	s.until("it leads", func() bool {
		l := s.leader()
		if l != nil && l.node != n && s.ops.waiting() == 0 {
			s.ops.transfer(l, n.inc.NodeID(), n.host)
		}
		return l != nil && l.node == n
	})
	late.start()
	s.until("the one that was away has caught up", func() bool { return late.proc.view.Status.Applied == s.truth.committed() })
	s.end()
}

// Five machines found with whom they meet, as three, cut apart for a while; the
// two that were not among the first three join.
func TestFoundWithWhomTheyMeet(t *testing.T) {
	s := newScene(t, 30, 5)
	s.plan.expect = 3
	for _, n := range s.nodes {
		n.mode = formation.Dynamic
	}
	for _, a := range s.nodes[:3] {
		for _, b := range s.nodes[3:] {
			s.net.cut[[2]string{a.host, b.host}], s.net.cut[[2]string{b.host, a.host}] = true, true
		}
	}
	s.startAll()
	s.pass(3 * second)
	clear(s.net.cut)
	s.until("all are in a cluster", func() bool { return s.settled() == "" })
	s.end()
}

// A node is admitted, but the answer is lost, and the only address that it was
// told is gone for good. The members that dial it are all it needs.
func TestAdmittedAndItsSeedIsGone(t *testing.T) {
	s := newScene(t, 21, 3).formed()
	gone := s.leader().node
	n := s.add(formation.JoinOnly, []string{gone.host})
	s.deafWhenAdded(n)
	s.until("it was admitted and doesn't know it", func() bool { return s.role(n) != 0 && !n.proc.m.InCluster() })
	id := gone.inc.NodeID()
	gone.kill()
	gone.gone = true
	n.kill() // with it goes what it had learnt
	n.resume()
	n.start()
	s.remove(id, gone.host)
	s.until("it is a member", func() bool { return n.proc.m.InCluster() })
	s.end()
}

// deafWhenAdded starts a node that hears nothing from the moment on in which it
// is admitted.
func (s *scene) deafWhenAdded(n *node) {
	n.start()
	s.attend = func(at moment, _ *process) {
		if at == onAdded {
			s.attend = nil
			n.pause(sceneTime)
		}
	}
}

// A node is admitted and removed before it has heard of either. It is told, and
// does not ask for ever.
func TestRemovedBeforeItJoined(t *testing.T) {
	s := newScene(t, 22, 3).formed()
	n := s.add(formation.JoinOnly, s.hosts())
	s.deafWhenAdded(n)
	s.until("it was admitted and doesn't know it", func() bool { return s.role(n) != 0 && !n.proc.m.InCluster() })
	n.kill()
	n.resume()
	s.remove(n.inc.NodeID(), n.host)
	n.start()
	s.until("it knows", func() bool { return n.gone })
	s.end()
}

// Two of three members have moved, the third is gone for good, and one of them
// knows of many addresses where nobody is, and of the other's. Its first Hello is
// not believed, since it comes from elsewhere; the second is, and doesn't have to
// wait until all other addresses were tried again.
func TestTwoMoveAmongManySeeds(t *testing.T) {
	s := newScene(t, 23, 3).formed()
	gone := s.nodes[1]
	gone.kill()
	gone.gone = true
	seeds := []string{"x1", "x2", "x3", "x4", "n1-1", "x5", "x6", "x7", "x8", "x9"}
	for _, i := range []int{0, 2} {
		n := s.nodes[i]
		n.kill()
		n.host = n.name + "-1"
		n.mode, n.seeds = formation.JoinOnly, seeds
	}
	s.startAll()
	begun := s.now
	s.until("they have found each other", func() bool { return s.led() == "" })
	if took := s.now - begun; took > 10*second {
		s.stop("it took %d s", took/second)
	}
	s.end()
}
