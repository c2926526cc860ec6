package sim

import (
	"slices"
	"testing"

	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/history"
	"github.com/musterhq/muster/internal/race"
	"github.com/musterhq/muster/internal/recovery"
)

// SCENARIOS 43: a majority is lost, the cluster is re-formed around the better of
// two survivors, all others come back with their old disks, alone or together.
// They are refused before raft hears of them, end, and stay out; what they hold
// is not merged; wiped, they join.
func TestForceNewClusterThenOldNodesReturn(t *testing.T) {
	seeds := 24
	if testing.Short() || race.Enabled {
		seeds = 6
	}
	for seed := range uint64(seeds) {
		t.Run("", func(t *testing.T) {
			s := newScene(t, seed, 5).formed()
			if seed%3 == 1 {
				s.plan.imageBytes = 500 // so that part of it is in images alone
			}
			s.writes(5)
			behind := s.nodes[seed%5]
			behind.kill()
			s.writes(10)
			if seed%4 == 2 { // the power goes in the midst of a change of roles
				s.join()
				s.pass(instant(seed) * 100 * millisecond)
			}
			best := s.survivor(behind)
			for _, n := range s.nodes {
				if n != behind {
					n.crash(crashfs.Mode(seed%uint64(crashfs.Modes)), seed)
				}
			}
			out := s.ops.forceNew(best)
			if s.failure != "" {
				s.stop("force-new")
			}
			best.start()
			s.until("it is alone, and leads", func() bool { return s.aloneWith(best) && s.led() == "" })
			if s.truth.committed() < out.LastIndex {
				s.stop("%d are committed, of %d that it held", s.truth.committed(), out.LastIndex)
			}
			s.writes(1)
			var old []*node
			for _, n := range s.nodes {
				if n != best && n.givenUp {
					old = append(old, n)
				}
			}
			for _, n := range old {
				n.start()
				if seed%2 == 0 { // else all at once: they are a majority of the old cluster
					s.until(n.host+" is told", func() bool { return n.told && !n.up() })
				}
			}
			s.until("all are told", func() bool {
				return !slices.ContainsFunc(old, func(n *node) bool { return !n.told || n.up() })
			})
			for _, n := range old {
				n.start()
				if n.up() {
					s.stop("%s starts again on its old disk", n.host)
				}
			}
			for _, n := range old {
				n.wipe()
				n.mode, n.seeds = formation.JoinOnly, []string{best.host}
				n.start()
			}
			s.until("all are in", func() bool { return s.settled() == "" })
			if len(s.truth.latest.Members) != len(old)+1 || s.truth.latest.Generation != 1 {
				s.stop("membership %+v", s.truth.latest)
			}
			s.writes(1)
			s.end()
		})
	}
}

// writes puts some values through whoever leads.
func (s *scene) writes(n int) {
	s.t.Helper()
	for range n {
		s.until("somebody leads", func() bool { return s.led() == "" })
		a := s.begin(s.leader().node, history.Put)
		s.until("a write", func() bool { return a.over })
	}
}

// survivor is the better of one that is behind and another that isn't leader.
func (s *scene) survivor(behind *node) *node {
	l := s.leader()
	for _, n := range s.nodes[:5] {
		if n == behind || l != nil && n == l.node {
			continue
		}
		a, err1 := recovery.Inspect(dataDir, recovery.Options{FS: n.fs.Kill()})
		b, err2 := recovery.Inspect(dataDir, recovery.Options{FS: behind.fs.Kill()})
		if err1 != nil || err2 != nil || a.Compare(&b) < 0 {
			s.stop("%v, %v: %+v and %+v", err1, err2, a, b)
		}
		return n
	}
	return nil
}
