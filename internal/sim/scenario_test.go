package sim

import (
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/history"
	"github.com/musterhq/muster/internal/race"
)

// SCENARIOS 11: three nodes form in any order of their starts, up to a minute
// apart, and soon after the last.
func TestThreeNodeFormationTimesOut(t *testing.T) {
	for i, delays := range [][]instant{{0, 0, 0}, {0, 30, 60}, {60, 0, 30}, {30, 60, 0}, {59, 60, 0}, {1, 0, 60}} {
		t.Run("", func(t *testing.T) {
			s := newScene(t, uint64(i), 3)
			for k, d := range delays {
				s.after(d*second, "start", s.nodes[k].start)
			}
			s.pass(slices.Max(delays) * second)
			last := s.now
			s.until("they have formed", func() bool { return s.settled() == "" })
			if took := s.now - last; took > 3*second {
				s.stop("it took %d ms after the last start", took/millisecond)
			}
			s.end()
		})
	}
}

// SCENARIOS 25: while a founder is cut off nothing forms; then one cluster does.
func TestMinorityPartitionDuringFormation(t *testing.T) {
	s := newScene(t, 1, 3)
	s.isolate(s.nodes[2])
	s.startAll()
	s.pass(40 * second)
	for _, p := range s.running() {
		if p.m.InCluster() {
			s.stop("%s founded without a founder that was cut off", p)
		}
	}
	s.end()
}

// SCENARIOS 26: a voter that lost its disk comes back at its address under its
// name as another node. It is let in beside the old one, and votes in its place
// once it has caught up, without anybody's doing.
func TestWipedVoterSameAddress(t *testing.T) {
	s := newScene(t, 2, 3).formed()
	s.write(s.nodes[0])
	n := s.nodes[1]
	old := n.inc.NodeID()
	n.wipe()
	n.start()
	s.until("the old n2 is out", func() bool { _, gone := s.truth.latest.Tombstone(old); return gone })
	if n.inc.NodeID() == old {
		s.stop("an empty disk has the old identity")
	}
	if voters := s.truth.latest.Voters(); len(voters) != 3 || !slices.Contains(voters, n.inc.NodeID()) {
		s.stop("these vote: %v", voters)
	}
	s.until("it votes", func() bool { return s.role(n) == cluster.Voter })
	s.write(n)
	s.end()
}

// SCENARIOS 29, 30: a removed member that comes back is told, stays out, and
// its identity never comes back, whatever its machine does.
func TestReusedID(t *testing.T) {
	s := newScene(t, 3, 3).formed()
	n := s.nodes[2]
	n.kill()
	old := n.inc.NodeID()
	s.remove(old, "n3")
	n.start()
	s.until("it knows that it was removed", func() bool { return n.gone })
	n.gone = false // somebody starts it again on the same directory
	n.start()
	if n.up() || !n.gone {
		s.stop("it starts on the directory of a removed member")
	}
	n.wipe()
	n.mode, n.seeds = formation.JoinOnly, s.hosts()
	n.start()
	s.until("it is a member under a new identity", func() bool { return s.role(n) != 0 })
	if n.inc.NodeID() == old {
		s.stop("it has the old identity")
	}
	s.end()
}

// SCENARIOS 31: a learner whose catch-up rounds last longer than an election
// timeout stays a learner, also while its peers are active.
func TestPromoteLaggingLearner(t *testing.T) {
	s := newScene(t, 4, 3).formed()
	writing := true // all the time: a round in which there is nothing to catch up with is short
	var write func()
	write = func() {
		if writing {
			s.begin(s.nodes[0], history.Put)
			s.after(20*millisecond, "write", write)
		}
	}
	write()
	a, b := s.join(), s.join()
	b.disk.slow = 3 * second // before it has anything to write
	s.until("both are learners", func() bool { return s.role(a) == cluster.Learner && s.role(b) == cluster.Learner })
	for range 30 {
		s.pass(second)
		if s.role(a) == cluster.Voter || s.role(b) == cluster.Voter {
			s.stop("one that lags was promoted, or one of a pair of whom the other lags")
		}
	}
	b.mend()
	b.disk.attach(b.proc)
	s.until("both vote", func() bool { return s.role(a) == cluster.Voter && s.role(b) == cluster.Voter })
	writing = false
	s.end()
}

// SCENARIOS 34: a joint configuration needs both majorities. Cut in two so that
// neither half has both, nothing is decided; healed, it is left.
func TestJointBothQuorumsPartitioned(t *testing.T) {
	for seed := range uint64(8) {
		t.Run("", func(t *testing.T) {
			s := newScene(t, seed, 3).formed()
			a, b := s.join(), s.join()
			cut := false
			s.until("the configuration is joint", func() bool {
				l := s.leader()
				if l == nil || !l.view.Status.Joint {
					return false
				}
				// The leader with the newcomers has the new majority and not the old one.
				for _, n := range s.nodes[:3] {
					if n != l.node {
						for _, o := range []*node{l.node, a, b} {
							s.net.cut[[2]string{n.host, o.host}], s.net.cut[[2]string{o.host, n.host}] = true, true
						}
					}
				}
				cut = true
				return true
			})
			before := s.truth.committed()
			s.pass(20 * second)
			for _, n := range s.nodes[:3] {
				if n.up() && n.proc.view.Status.State == "leader" && n.proc.view.Status.Joint && s.truth.committed() > before+1 {
					s.stop("a leader without the old majority went on deciding")
				}
			}
			if !cut {
				s.stop("it was never cut")
			}
			s.end()
		})
	}
}

// SCENARIOS 35: a hundred nodes ask to be let in at once; all are, one after the
// other, and none holds up the cluster.
func TestHundredJoinsAtOnce(t *testing.T) {
	s := newScene(t, 5, 3).formed()
	joins := 100
	if testing.Short() || race.Enabled {
		joins = 25
	}
	for range joins {
		s.add(formation.JoinOnly, s.hosts()[:3]).start()
	}
	s.until("all are members", func() bool { return len(s.truth.latest.Members) == 3+joins })
	s.write(s.nodes[0])
	s.until("all know it", func() bool { return s.settled() == "" })
}

// SCENARIOS 41: the disk of a joiner is full when its image comes. Nothing is
// lost or believed; with room again it is let in.
func TestDiskFullDuringSnapshotInstall(t *testing.T) {
	s := newScene(t, 6, 3).formed()
	s.write(s.nodes[0])
	n := s.join()
	s.until("it is a learner", func() bool { return s.role(n) == cluster.Learner && n.up() && n.proc.m.InCluster() })
	n.disk.full = true
	s.pass(10 * second)
	if n.up() && n.proc.view.Status.Applied > 0 {
		s.stop("it has an image on a disk that was full")
	}
	if s.counters[diskFull] == 0 {
		s.stop("the disk was never full")
	}
	s.end()
	if n.proc.view.Status.Applied == 0 {
		s.stop("it has nothing in the end")
	}
}

// SCENARIOS 42: a voter whose vote can't be synced stops, and never answers.
func TestFsyncErrorOnVote(t *testing.T) {
	s := newScene(t, 7, 3).formed()
	l := s.leader()
	var others []*node
	for _, n := range s.nodes {
		if n != l.node {
			others = append(others, n)
		}
	}
	answered := map[string]bool{}
	s.overhear = func(from, _ string, m *raftpb.Message) {
		if m.GetType() == raftpb.MsgVoteResp && !m.GetReject() {
			answered[from] = true
		}
	}
	l.node.kill()
	for _, n := range others {
		n.disk.failing, n.disk.onSync = true, true
	}
	s.until("one has stopped", func() bool { return !others[0].up() || !others[1].up() })
	for _, n := range others {
		if !n.up() && answered[n.host] {
			s.stop("%s answered with a vote that it could not sync", n.host)
		}
	}
	s.end()
}

// SCENARIOS 44: a leader is paused, another is elected and takes a write. When
// the first wakes up it is asked for a read, and must not answer from before.
func TestStaleReadFromPausedLeader(t *testing.T) {
	for seed := range uint64(10) {
		t.Run("", func(t *testing.T) {
			s := newScene(t, seed, 3).formed()
			old := s.leader()
			s.write(old.node)
			old.node.pause(8 * second)
			s.until("another leads", func() bool { l := s.leader(); return l != nil && l != old && s.led() == "" })
			s.write(s.leader().node)
			want := s.truth.model.Values["k0"]
			read := s.begin(old.node, history.Get) // it is asked in the moment in which it wakes up
			s.until("the read has an answer", func() bool { return read.over })
			if read.op.Got != want {
				s.stop("the old leader read %q, but %q was written before it was asked", read.op.Got, want)
			}
			s.end()
		})
	}
}
