package sim

import (
	"strings"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/history"
)

// scene is a world whose story a test tells.
type scene struct {
	*World
	t *testing.T
}

// newScene puts up founders, which are not started. Images are taken seldom.
func newScene(t *testing.T, seed uint64, founders int) *scene {
	global.Lock()
	restore := seedJitter(seed)
	t.Cleanup(func() {
		restore()
		global.Unlock()
	})
	s := &scene{newWorld(seed, plan{founders: founders, voters: 5, imageBytes: 1 << 20, clients: 3, policy: basePolicy(5)}), t}
	s.clients.asked = true
	return s
}

// formed starts everybody and waits for a cluster.
func (s *scene) formed() *scene {
	s.t.Helper()
	s.startAll()
	s.until("all are in a cluster", func() bool { return s.settled() == "" })
	return s
}

// sceneTime bounds every wait of a scene.
const sceneTime = 60 * second

// until lets time pass until the condition holds.
func (s *scene) until(what string, cond func() bool) {
	s.t.Helper()
	for end := s.now + sceneTime; !cond(); {
		if s.failure != "" || s.now >= end {
			s.stop("after %d s still not: %s", sceneTime/second, what)
		}
		s.runUntil(s.now + 10*millisecond)
	}
}

// pass lets time pass, in which nothing may go wrong.
func (s *scene) pass(d instant) {
	s.t.Helper()
	s.runUntil(s.now + d)
	if s.failure != "" {
		s.stop("in %d ms", d/millisecond)
	}
}

func (s *scene) stop(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf(format+"\n%s\n%s\n%s", append(args, s.failure, strings.Join(s.transcript.end(), "\n"), s.World)...)
}

// end heals everything, and holds the story to all that must always be so.
func (s *scene) end() {
	s.t.Helper()
	s.heal()
	if s.failure == "" {
		s.judge()
	}
	if s.failure != "" {
		s.stop("in the end")
	}
}

// role is the member's of the node's present disk, as of the truth.
func (s *scene) role(n *node) cluster.Role {
	m, _ := s.truth.latest.Member(n.inc.NodeID())
	return m.Role
}

// write puts a value through any of the nodes that are up, and waits.
func (s *scene) write(n *node) {
	s.t.Helper()
	a := s.begin(n, history.Put)
	s.until("a write through "+n.host, func() bool { return a.over })
	if a.op.Fate != history.Happened {
		s.stop("the write did not happen: %v", a.op.Fate)
	}
}

// begin starts one operation on key k0 at a node.
func (s *scene) begin(n *node, kind history.Kind) *attempt {
	a := s.clients.attempt(0, n.proc)
	a.op.Kind, a.op.Key = kind, "k0"
	a.begin()
	return a
}

// join puts up one more machine that asks to be let in.
func (s *scene) join() *node {
	s.ops.join()
	return s.nodes[len(s.nodes)-1]
}

// remove has an operator remove a member, through any other that is up.
func (s *scene) remove(id cluster.NodeID, name string) {
	s.t.Helper()
	s.until("somebody can be asked", func() bool { l := s.leader(); return l != nil && l.node.member() != nil })
	s.ops.removeBelowFloor(s.leader(), id, name)
	s.until(name+" is removed", func() bool { _, ok := s.truth.latest.Tombstone(id); return ok })
}
