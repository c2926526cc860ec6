package replica

import (
	"flag"
	"fmt"
	"hash/fnv"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/race"
	"github.com/musterhq/muster/internal/wire"
)

var (
	seeds      = flag.Int("replica.seeds", race.Share(200), "how many seeds TestRandom runs")
	firstSeed  = flag.Uint64("replica.seed", 1, "the first seed of TestRandom")
	stormSteps = flag.Int("replica.steps", 500, "steps of one seed")
)

// TestRandom runs clusters through losses, crashes, partitions and changes of
// the membership, checks after each step what must always hold, and that all
// comes to rest once the trouble ends. Replay one: -replica.seed=N -replica.seeds=1.
func TestRandom(t *testing.T) {
	for i := range *seeds {
		seed := *firstSeed + uint64(i)
		if !t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { newStorm(t, seed).run() }) {
			t.Fatalf("replay with -run TestRandom -replica.seed=%d -replica.seeds=1", seed)
		}
	}
}

// TestRandomIsReproducible: without that, a seed is worth nothing.
func TestRandomIsReproducible(t *testing.T) {
	var sums [2]uint64
	for i := range sums {
		t.Run("", func(t *testing.T) {
			s := newStorm(t, 42)
			s.run()
			h := fnv.New64a()
			for index := uint64(2); index <= s.truth.last; index++ {
				fmt.Fprintln(h, index, s.truth.log[index].GetTerm(), s.truth.log[index].GetData())
			}
			sums[i] = h.Sum64()
		})
	}
	if sums[0] != sums[1] {
		t.Fatal("two runs of one seed differ")
	}
}

// storm is a world in trouble.
type storm struct {
	*world
	proposed []wire.RequestID
	asked    []question // changes that wait for their answers
	reading  []question
	serial   int
	maxNodes int
}

// question is one that this boot of a node must answer.
type question struct {
	n     *node
	boot  uint64
	token uint64
}

func newStorm(t *testing.T, seed uint64) *storm {
	target := 3
	if seed%7 == 0 {
		target = 5
	}
	return &storm{world: newWorld(t, seed, 1+int(seed%3), target), maxNodes: 5}
}

func (s *storm) run() {
	for range *stormSteps {
		s.step()
	}
	s.calm()
}

// step does a few things that go well, and one that may be trouble.
func (s *storm) step() {
	for range s.rng.IntN(12) {
		s.network()
		s.stage(s.any())
	}
	switch x := s.rng.IntN(1000); {
	case x < 350:
		for _, id := range s.ids { // clocks differ
			if n := s.nodes[id]; n.up() && s.rng.IntN(5) > 0 {
				n.rep.Tick()
				n.drain()
			}
		}
	case x < 900:
		s.client(s.any(), x%10)
	default:
		s.trouble(s.any(), x%100)
	}
}

func (s *storm) any() *node { return s.nodes[s.ids[s.rng.IntN(len(s.ids))]] }

// client asks the node for something.
func (s *storm) client(n *node, x int) {
	switch {
	case x < 2:
		if l := s.leader(); l != nil && s.rng.IntN(4) > 0 {
			n = l // that is where the body sends a change
		}
		if n.up() {
			s.membershipChange(n)
		}
	case x < 3:
		if len(s.proposed) == 0 {
			return
		}
		id := s.proposed[s.rng.IntN(len(s.proposed))]
		if o := s.nodes[id.Origin]; o.up() && id.Seq>>32 == o.boot {
			o.withdraw(id)
		}
	case !n.up():
	case x < 5:
		s.reading = append(s.reading, question{n, n.boot, n.read()})
	default:
		s.proposed = append(s.proposed, n.proposeBytes(make([]byte, 1+s.rng.IntN(300))))
	}
}

// trouble makes some.
func (s *storm) trouble(n *node, x int) {
	switch {
	case x < 15 && n.up():
		n.shoot(s.rng.IntN(2) == 0)
	case x < 20:
		s.isolate(n.self.ID)
	case x < 25:
		s.cut[[2]cluster.NodeID{s.any().self.ID, n.self.ID}] = true // one way only
	case x < 50:
		clear(s.cut)
	case x < 55 && n.up():
		n.rep.Transfer(0)
		n.drain()
	case x < 65 && n.up():
		if n.gone == nil {
			n.crash()
		}
	case !n.up() && n.gone == nil && (n.boot > 0 || s.admitted(n.self.ID)):
		n.start()
	}
}

// network delivers, loses or doubles a packet, any of them.
func (s *storm) network() {
	if len(s.pool) == 0 {
		return
	}
	i := 0
	if s.rng.IntN(3) == 0 {
		i = s.rng.IntN(len(s.pool))
	}
	p := s.pool[i]
	switch x := s.rng.IntN(40); {
	case x == 0 && p.snapshot == nil: // doubled: it stays
		s.deliver(p)
		return
	case x == 1:
		if p.snapshot != nil && s.nodes[p.from].up() {
			s.nodes[p.from].rep.Unreachable(p.to)
			s.lose = everything
		} else {
			s.pool = slices.Delete(s.pool, i, i+1)
			return
		}
	}
	s.pool = slices.Delete(s.pool, i, i+1)
	s.deliver(p)
	s.lose = nil
}

// stage finishes a job of the node's.
func (s *storm) stage(n *node) {
	switch {
	case !n.up():
	case len(n.appends) > 0 && s.rng.IntN(2) == 0:
		n.append()
	case len(n.applies) > 0:
		n.apply()
	case n.wanted:
		n.shoot(false)
	case len(n.appends) > 0:
		n.append()
	}
}

// admitted says whether a join was answered: from the applied state of some member.
func (s *storm) admitted(id cluster.NodeID) bool {
	for _, o := range s.ids {
		if n := s.nodes[o]; n.up() {
			if _, ok := n.rep.membership.Member(id); ok {
				return true
			}
		}
	}
	return false
}

// membershipChange asks n for one, by a request that is new or was asked before.
func (s *storm) membershipChange(n *node) {
	other := s.nodes[s.ids[s.rng.IntN(len(s.ids))]].self
	c := wire.Change{Request: fmt.Sprint("request-", s.rng.IntN(s.serial+1))}
	s.serial++
	switch x := s.rng.IntN(10); {
	case x < 4 && len(s.ids) < s.maxNodes:
		other = s.newNode(cluster.NodeID(len(s.ids) + 1)).self
		fallthrough
	case x < 5:
		c = join(other)
	case x < 6:
		c.Steps = []wire.Step{{Op: wire.OpRemove, Member: other, BelowFloor: s.rng.IntN(4) > 0}}
	case x < 7:
		c.Steps = []wire.Step{{Op: wire.OpDemote, Member: other}}
	case x < 8:
		c.Steps = []wire.Step{{Op: wire.OpPromote, Member: other}}
	case x < 9:
		c.Steps = []wire.Step{{Op: wire.OpPromote, Member: other}, {Op: wire.OpDemote, Member: n.self}}
	default:
		other.ClientAddr = fmt.Sprint("c", s.serial)
		c.Steps = []wire.Step{{Op: wire.OpUpdate, Member: other}}
	}
	s.asked = append(s.asked, question{n, n.boot, n.change(c)})
}

func join(m cluster.Member) wire.Change {
	return wire.Change{Request: "join-" + m.ID.String(), Steps: []wire.Step{{Op: wire.OpAdd, Member: m}}}
}

// calm ends the trouble and demands that everything comes to a good end.
func (s *storm) calm() {
	s.heal()
	s.until("all is well", func() bool {
		s.startAll()
		s.tellRemoved()
		return s.well()
	})
	for _, id := range s.ids {
		if n := s.nodes[id]; n.up() {
			if open := n.rep.proposals.handed.before(s.truth.log[s.truth.last].GetTerm()); len(open) > 0 {
				s.t.Fatalf("%s does not know what became of %v\n%s", n.self.Name, open, s.world)
			}
		}
	}
	for _, q := range s.reading {
		if _, ok := q.n.seen.reads[q.token]; !ok && q.n.up() && q.n.boot == q.boot {
			s.t.Fatalf("read %d of %s was never released\n%s", q.token, q.n.self.Name, s.world)
		}
	}
	for _, q := range s.asked {
		if _, ok := q.n.seen.answers[q.token]; !ok && q.n.up() && q.n.boot == q.boot {
			s.t.Fatalf("change %d of %s was never answered\n%s", q.token, q.n.self.Name, s.world)
		}
	}
}

// startAll starts who is down and belongs.
func (s *storm) startAll() {
	for _, id := range s.ids {
		if n := s.nodes[id]; !n.up() && n.gone == nil && (n.boot > 0 || s.admitted(id)) {
			n.start()
		}
	}
}

// tellRemoved stops those that no longer belong: their peers refuse them so.
func (s *storm) tellRemoved() {
	l := s.leader()
	if l == nil {
		return
	}
	for _, t := range l.rep.membership.Removed {
		if n := s.nodes[t.ID]; n.up() && l.rep.removed(t.ID) {
			n.gone = &t
			n.crash()
		}
	}
}

// well: one leads, all members hold the same, and nothing waits.
func (s *storm) well() bool {
	l := s.leader()
	if l == nil || l.rep.joint() || len(l.rep.membership.Leaving) > 0 {
		return false
	}
	for _, m := range l.rep.membership.Members {
		n := s.nodes[m.ID]
		if !n.up() {
			return false
		}
		r := n.rep
		if r.applied != l.rep.last || r.last != l.rep.last || len(r.proposals.waiting) > 0 || len(r.reads.batch)+len(r.reads.waiting)+len(r.reads.confirmed) > 0 {
			return false
		}
		if len(r.changes.queue) > 0 || r.changes.inflight != nil {
			return false
		}
	}
	return true
}

func everything(cluster.NodeID, cluster.NodeID, *raftpb.Message) bool { return true }
