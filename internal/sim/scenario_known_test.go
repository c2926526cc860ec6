package sim

import (
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/formation"
)

// More scenarios that earlier systems got wrong; each has its name in
// docs/robustness.md.

// SCENARIOS 2: a node that is told to join never founds, however long nobody
// answers, and whoever else waits with it.
func TestJoinerBootstrapsItself(t *testing.T) {
	s := newScene(t, 30, 3)
	for range 3 {
		s.add(formation.JoinOnly, s.hosts()).start()
	}
	s.pass(50 * second)
	for _, p := range s.running() {
		if p.m.InCluster() {
			s.stop("%s has founded", p)
		}
	}
	s.formed()
	s.end()
}

// SCENARIOS 6: the first messages to a new member are lost. It catches up with no
// further proposal.
func TestFirstAppendLostConnectionNotUp(t *testing.T) {
	s := newScene(t, 31, 3).formed()
	s.write(s.nodes[0])
	s.attend = func(at moment, _ *process) {
		if at == onAdded {
			s.attend = nil
			s.isolate(s.nodes[3])
		}
	}
	n := s.join()
	s.until("it was admitted", func() bool { return s.role(n) != 0 })
	at := s.truth.committed()
	s.pass(3 * second)
	s.net.calm()
	s.until("it has caught up", func() bool { return n.m() != nil && n.proc.view.Status.Applied >= at })
	if now := s.truth.committed(); now != at {
		s.stop("entries %d to %d were needed for it", at+1, now)
	}
	s.end()
}

// SCENARIOS 10: the log that a member lacks is gone. An image catches it up.
func TestLogCompactedNeedsSnapshot(t *testing.T) {
	s := newScene(t, 32, 3)
	s.plan.imageBytes = 1500
	s.formed()
	n := s.nodes[1]
	n.kill()
	s.overtake(n)
	n.start()
	s.until("it has caught up", func() bool { return n.m() != nil && n.proc.view.Status.Applied == s.truth.committed() })
	if s.counters[imageInstalled] == 0 {
		s.stop("no image was installed")
	}
	s.end()
}

// overtake writes through others until the log that the node lacks is gone.
func (s *scene) overtake(n *node) {
	s.t.Helper()
	at := s.truth.committed()
	for range 200 {
		s.until("somebody leads", func() bool { return s.led() == "" })
		s.write(s.leader().node)
		if l := s.leader(); l.node != n && l.view.Status.First > at+1 {
			return
		}
	}
	s.stop("the logs still hold entry %d", at+1)
}

// SCENARIOS 16: the stream of an image is cut, or what became of it isn't told.
// The image comes in all the same.
func TestSnapshotStreamCutOrReportLost(t *testing.T) {
	for seed := range uint64(6) {
		t.Run("", func(t *testing.T) {
			s := newScene(t, 40+seed, 3)
			s.plan.imageBytes = 1500
			s.formed()
			n := s.nodes[2]
			n.kill()
			s.overtake(n)
			s.net.streams = 0.8
			n.start()
			s.until("one was cut", func() bool { return s.counters[streamCut]+s.counters[streamUnreported] > 0 })
			s.net.streams = 0
			s.end()
			if s.counters[imageInstalled] == 0 {
				s.stop("no image was installed")
			}
		})
	}
}

// SCENARIOS 21: all coordinate the founding at once, with answers that are lost,
// late and come twice. One cluster comes of it.
func TestTwoCoordinatorsRace(t *testing.T) {
	for seed := range uint64(12) {
		t.Run("", func(t *testing.T) {
			s := newScene(t, 50+seed, 3+int(seed%3))
			s.net.loss, s.net.twice, s.net.reorder, s.net.delay = 0.3, 0.3, 0.3, 300*millisecond
			s.startAll()
			s.pass(20 * second)
			s.end()
		})
	}
}

// SCENARIOS 23: a founder that comes late, or with an empty disk, meets a cluster
// and joins it.
func TestLateNodeMeetsFormedCluster(t *testing.T) {
	s := newScene(t, 33, 3).formed()
	late := s.add(formation.Static, s.hosts()[:3])
	late.start()
	s.until("it is a member", func() bool { return s.role(late) != 0 && late.m() != nil })
	n := s.nodes[0]
	n.wipe()
	n.start()
	s.until("it is a member again", func() bool { return s.role(n) == cluster.Voter && n.m() != nil })
	s.end()
}

// SCENARIOS 27: an older image of a disk, and a copy of it elsewhere, are told
// that they aren't trusted, and end; the member itself goes on.
func TestRestoredBackupOrClonedDisk(t *testing.T) {
	s := newScene(t, 34, 3).formed()
	n := s.nodes[1]
	s.backup(Fault{A: 1})
	for range 2 {
		n.kill()
		n.start()
		s.write(n)
		s.until("all have met it", func() bool { return s.settled() == "" })
	}
	s.clone(Fault{A: 1})
	if s.counters[diskCloned] == 0 {
		s.stop("nothing was copied")
	}
	twin := s.nodes[3]
	s.until("the copy has ended", func() bool { return twin.told && !twin.up() })
	s.write(n)
	twin.start()
	s.until("all is well", func() bool { return s.settled() == "" })
	s.restore(Fault{A: 1})
	if s.counters[diskRestored] == 0 {
		s.stop("nothing was put back")
	}
	s.until("it has ended", func() bool { return n.told && !n.up() })
	s.end()
	if s.counters[rolledBackAgain] == 0 {
		s.stop("nobody was refused at its next start")
	}
}

// SCENARIOS 29: a removed member that was away hears of it when it comes back,
// and disturbs nobody: the leader stays.
func TestRemovedNodeComesBack(t *testing.T) {
	s := newScene(t, 35, 5).formed()
	n := s.other(s.leader().node)
	n.kill()
	s.remove(n.inc.NodeID(), n.host)
	s.until("all is well", func() bool { return s.led() == "" && s.ops.waiting() == 0 })
	term := s.truth.term
	n.start()
	s.until("it knows", func() bool { return n.gone })
	s.pass(5 * second)
	if s.truth.term != term {
		s.stop("there was an election, term %d after %d", s.truth.term, term)
	}
	s.end()
}

// SCENARIOS 37: voters die and come back, again and again, around the time after
// which they are replaced. There are always three voters, and nobody who is back
// costs an election.
func TestReplaceDeadFlapping(t *testing.T) {
	for seed := range uint64(4) {
		t.Run("", func(t *testing.T) {
			s := newScene(t, 60+seed, 3).formed()
			s.policy(map[string]string{"dead-after": "2s", "target-voters": "3"})
			s.join()
			s.join()
			s.until("two stand by", func() bool { return s.settled() == "" })
			for round := range 12 {
				n := s.nodes[round%5]
				n.kill()
				for end := s.now + instant(1500+round*150)*millisecond; s.now < end; {
					s.pass(50 * millisecond)
					if v := len(s.truth.latest.Voters()); v != 3 {
						s.stop("%d voters", v)
					}
				}
				n.start()
				s.pass(second)
			}
			if s.counters[deadReplaced] == 0 {
				s.stop("nobody was replaced")
			}
			s.end()
		})
	}
}

// A zone goes down. Its votes were as spread as they could be, so that the
// others decide; it comes back, and nobody notices.
func TestZoneGoesDown(t *testing.T) {
	for zone := range 3 {
		t.Run("", func(t *testing.T) {
			s := newScene(t, 70+uint64(zone), 3)
			s.plan.zones = 3
			for i, n := range s.nodes {
				n.zone = s.zoneOf(i / 2) // two founders in the first zone, none in the last
			}
			s.formed()
			for range 3 {
				s.join()
			}
			s.until("the votes are spread", func() bool { return s.settled() == "" })
			s.zoneDown(Fault{A: zone + 3})
			s.until("the others decide", func() bool { return s.led() == "" })
			s.write(s.leader().node)
			s.end()
		})
	}
}
