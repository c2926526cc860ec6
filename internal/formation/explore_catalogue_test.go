package formation

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// catalogue keeps each note, each state of a node, and what becomes of each by
// each input once. The real code runs only for what is not in it yet. Numbers
// are handed out in the order of asking; hashes are the same in every run.
type catalogue struct {
	hosts   []string // sorted
	cfg     []Config // per host; Self lacks its incarnation
	spare   int      // the host to which a disk may be moved, the last; -1: there is none
	falling bool     // a new disk's incarnation is lower than the old one's, not higher

	mu         sync.Mutex
	notes      []*note // by number; those behind noteCount are nil
	noteCount  int
	noteOf     map[[sha256.Size]byte]*note
	states     []*nodeState // by number; those behind stateCount are nil
	stateCount int
	stateOf    map[[sha256.Size]byte]*nodeState
	foundings  map[cluster.ClusterID]*founding
}

// How many there may be. The slices never move, so that a number that came from
// another goroutine may be looked up without the lock.
const (
	maxNotes      = 1 << 16 // a place keeps them as 16 bits
	maxNodeStates = 1 << 21
)

func newCatalogue(nodes []*node, falling bool) *catalogue {
	c := &catalogue{
		falling: falling, spare: -1,
		notes: make([]*note, maxNotes), noteOf: map[[sha256.Size]byte]*note{},
		states: make([]*nodeState, maxNodeStates), stateOf: map[[sha256.Size]byte]*nodeState{},
		foundings: map[cluster.ClusterID]*founding{},
	}
	for _, n := range nodes {
		c.hosts, c.cfg = append(c.hosts, n.host), append(c.cfg, n.cfg)
	}
	return c
}

// note returns the one note that is equal to n.
func (c *catalogue) note(n note) *note {
	b, err := json.Marshal([]any{n.kind, n.from, n.to, n.disk, n.msg.hello, n.msg.req, n.msg.resp, n.text})
	if err != nil {
		panic(err)
	}
	key := sha256.Sum256(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.noteOf[key]; old != nil {
		return old
	}
	n.id, n.hash = uint16(c.noteCount), binary.LittleEndian.Uint64(key[:])
	n.ballot = ballotOf(n.msg)
	c.notes[c.noteCount], c.noteOf[key] = &n, &n
	c.noteCount++
	return &n
}

// state returns the one state of a node that is equal to s.
func (c *catalogue) state(s nodeState) *nodeState {
	b := fmt.Appendf(nil, "%d %d %d %v ", s.host, s.nth, s.nonce, s.spent)
	b = appendDurable(b, s.n.disk)
	if s.n.f != nil {
		sum := s.n.f.Fingerprint()
		b = append(b, sum[:]...)
	}
	key := sha256.Sum256(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.stateOf[key]; old != nil {
		return old
	}
	s.id, s.hash = uint32(c.stateCount), binary.LittleEndian.Uint64(key[:])
	s.results = map[input]*result{}
	s.in = c.foundings[s.n.disk.ClusterID]
	s.look(c.hosts)
	c.states[c.stateCount], c.stateOf[key] = &s, &s
	c.stateCount++
	return &s
}

// result is what becomes of a node by an input.
func (c *catalogue) result(s *nodeState, in input) *result {
	c.mu.Lock()
	r := s.results[in]
	c.mu.Unlock()
	if r != nil {
		return r
	}
	r = c.run(s, in)
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := s.results[in]; old != nil {
		return old
	}
	s.results[in] = r
	return r
}

// founding returns what is known about a genesis.
func (c *catalogue) founding(raw []byte) *founding {
	id := wire.GenesisID(raw)
	if f := c.known(id); f != nil {
		return f
	}
	f := &founding{id: id, genesis: must(wire.DecodeGenesis(raw))}
	for _, i := range f.genesis.Founders {
		f.founders = append(f.founders, c.diskOf(i.Incarnation))
		f.accepted = append(f.accepted, c.accepted(acceptance{i.Incarnation, id}))
	}
	f.real = c.note(note{kind: isFact, real: f, text: "real " + id.String()})
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.foundings[id]; old != nil {
		return old
	}
	c.foundings[id] = f
	return f
}

// known returns the founding of a cluster that exists, nil for another.
func (c *catalogue) known(id cluster.ClusterID) *founding {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.foundings[id]
}

// accepted is the fact that a genesis was accepted.
func (c *catalogue) accepted(a acceptance) *note {
	return c.note(note{kind: isFact, accept: &a, text: fmt.Sprintf("%s accepted %s", a.by, a.id)})
}
