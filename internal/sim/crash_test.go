package sim

import (
	"slices"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/internal/race"
)

// blow is a loss of power at the n-th operation of one disk from when it is
// dealt. The others lose theirs in the same moment, or one after the other in
// the seconds that follow, or not at all.
type blow struct {
	n      int
	others int                    // none, atOnce or inTurn
	fell   bool                   // there were as many operations
	last   map[*node]cluster.Role // nil, or gets what each of the others was when its power went
}

const (
	none = iota
	atOnce
	inTurn
)

// deal has the power go on the node's disk.
func (s *scene) deal(b *blow, n *node) {
	n.disk.cut, n.disk.mode, n.disk.seed = b.n, crashfs.Mode(b.n%crashfs.Modes), uint64(b.n)
	n.disk.also = func() {
		b.fell = true
		d := instant(0)
		for i, o := range s.nodes {
			if o == n || b.others == none {
				continue
			}
			if b.others == inTurn {
				d += instant(b.n%7+1) * 40 * millisecond
			}
			s.after(d, "power", func() {
				if b.last != nil && o.up() {
					b.last[o] = o.proc.view.Status.Self.Role
				}
				o.crash(crashfs.Mode((b.n+i)%crashfs.Modes), uint64(b.n+i))
			})
		}
	}
}

// atEachOperation tells a story with the power going at the first operation of
// a disk that the story chooses, then at the second, until there are none left:
// on one disk alone, and on all. Each ends well.
func atEachOperation(t *testing.T, enough int, story func(s *scene, b *blow)) {
	for others := range inTurn + 1 {
		step := 1
		switch {
		case testing.Short() || race.Enabled:
			step = 7
		case others != atOnce:
			step = 2
		}
		n := 1 + others%step
		for ; ; n += step {
			b := &blow{n: n, others: others}
			t.Run("", func(t *testing.T) {
				s := newScene(t, uint64(n%5), 3)
				story(s, b)
				s.end()
			})
			if !b.fell || t.Failed() {
				break
			}
		}
		if n < enough {
			t.Errorf("the disk had only %d operations: where is the story?", n)
		}
	}
}

// busy is a cluster of three with two more that stand by, and clients at work.
// Nothing changes by itself until the policy says so.
func (s *scene) busy() (l *node) {
	s.formed()
	s.policy(map[string]string{"paused": "by the story"})
	s.join()
	s.join()
	s.until("two stand by", func() bool { return len(s.truth.latest.Members) == 5 && s.led() == "" })
	s.until("they have caught up", func() bool {
		return s.nodes[4].m() != nil && s.nodes[4].proc.view.Status.Applied == s.truth.committed()
	})
	s.pass(second)
	s.clients.start()
	return s.leader().node
}

// m is the node's process if it is a member that has applied something.
func (n *node) m() *process {
	if n.up() && n.proc.m.InCluster() && n.proc.view.Status.Applied > 0 {
		return n.proc
	}
	return nil
}

// policy has settings changed, and waits.
func (s *scene) policy(edits map[string]string) {
	s.t.Helper()
	s.until("somebody can be asked", func() bool { l := s.leader(); return l != nil && l.node.member() != nil })
	s.ops.set(s.leader(), edits)
	s.until("it is decided", func() bool { return s.ops.waiting() == 0 })
}

// other is a founder that doesn't lead.
func (s *scene) other(l *node) *node { return s.nodes[(slices.Index(s.nodes, l)+1)%3] }

// SCENARIOS 40: a member is added, two are promoted in a joint configuration,
// two demoted, one is removed; in the midst of it the power goes, on the leader's
// disk, on another's, on a newcomer's. The configuration and what was
// acknowledged are there afterwards: see World.heal.
func TestPowerLossDuringConfChange(t *testing.T) {
	changes := map[string]func(*scene, *node){
		"add":     func(s *scene, _ *node) { s.join() },
		"promote": func(s *scene, l *node) { s.ops.set(l.proc, map[string]string{"paused": ""}) },
		"remove": func(s *scene, l *node) {
			o := s.other(s.other(l))
			s.ops.removeBelowFloor(l.proc, o.inc.NodeID(), o.host)
		},
		"demote": func(s *scene, l *node) { s.ops.set(l.proc, map[string]string{"target-voters": "1", "paused": ""}) },
	}
	victims := map[string]func(*scene, *node) *node{
		"leader":   func(_ *scene, l *node) *node { return l },
		"follower": func(s *scene, l *node) *node { return s.other(l) },
		"newcomer": func(s *scene, _ *node) *node { return s.nodes[4] },
	}
	for what, change := range changes {
		for who, victim := range victims {
			t.Run(what+"/"+who, func(t *testing.T) {
				atEachOperation(t, 6, func(s *scene, b *blow) {
					l := s.busy()
					s.deal(b, victim(s, l))
					change(s, l)
					s.pass(600 * millisecond)
				})
			})
		}
	}
}

// SCENARIOS 8: two learners are promoted, and all lose their power at any
// operation of one of them. Each starts again alone, cut off from all others, and
// is no less than it was: who voted votes.
func TestRestartForgetsItIsVoter(t *testing.T) {
	votes := 0 // newcomers that voted when the power went
	for _, victim := range []int{0, 4} {
		atEachOperation(t, 5, func(s *scene, b *blow) {
			l := s.busy()
			b.last = map[*node]cluster.Role{}
			s.deal(b, s.nodes[victim])
			s.ops.set(l.proc, map[string]string{"paused": ""})
			s.pass(900 * millisecond)
			for _, n := range s.nodes {
				s.isolate(n)
			}
			s.pass(2 * second) // the others in their turn
			s.startAll()
			s.pass(300 * millisecond) // each applies what it knows to be committed
			for i, n := range s.nodes {
				if b.last[n] != cluster.Voter {
					continue
				}
				if i > 2 {
					votes++
				}
				if now := n.proc.view.Status.Self; now.Role != cluster.Voter {
					s.stop("%s has forgotten that it is a voter: %+v", n.host, now)
				}
			}
		})
	}
	if votes == 0 {
		t.Error("no newcomer ever voted when the power went")
	}
}

// SCENARIOS 12: one is removed, and all lose their power at any operation then.
// The change happens once: one tombstone, four members.
func TestConfChangeAppliedTwiceAfterRestart(t *testing.T) {
	atEachOperation(t, 6, func(s *scene, b *blow) {
		l := s.busy()
		gone := s.nodes[4]
		s.deal(b, l)
		s.ops.removeBelowFloor(l.proc, gone.inc.NodeID(), gone.host)
		s.pass(500 * millisecond)
		s.heal()
		switch m := s.truth.latest; {
		case len(m.Removed) > 1 || len(m.Removed)+len(m.Members) != 5:
			s.stop("%d members and %d tombstones", len(m.Members), len(m.Removed))
		case len(m.Removed) == 1 && m.Removed[0].ID != gone.inc.NodeID():
			s.stop("another one was removed: %+v", m.Removed)
		}
	})
}

// SCENARIOS 17: a follower is behind, and gets an image. At each operation of its
// disk the power goes; it starts again, from the log and image that it has, and
// catches up.
func TestCommitBehindSnapshotAtRestart(t *testing.T) {
	images := 0
	atEachOperation(t, 10, func(s *scene, b *blow) {
		s.plan.imageBytes = 1500
		s.formed()
		n := s.other(s.leader().node)
		n.kill()
		for range 60 {
			s.write(s.leader().node)
		}
		n.start()
		s.deal(b, n)
		s.until("it was struck, or is level", func() bool {
			return !n.up() || n.proc.view.Status.Applied == s.truth.committed()
		})
		images += s.counters[imageInstalled]
	})
	if images == 0 {
		t.Error("there never was an image")
	}
}

// SCENARIOS 22: the power goes at each operation of each founder's disk, before
// there is a cluster.
func TestFormationCrashAtEveryStep(t *testing.T) {
	for who := range 3 {
		t.Run("", func(t *testing.T) {
			atEachOperation(t, 15, func(s *scene, b *blow) {
				s.nodes[who].start()
				s.deal(b, s.nodes[who])
				s.startAll()
				s.pass(3 * second)
			})
		})
	}
}
