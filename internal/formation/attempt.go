package formation

import (
	"bytes"
	"slices"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// founder is one node that would found, and the seed address at which it answers.
type founder struct {
	addr string
	id   wire.Identity
}

// attempt is this node coordinating one ballot.
type attempt struct {
	ballot   wire.Ballot
	founders []founder // sorted by incarnation, this node among them
	got      []bool    // per founder: answered in this round
	genesis  []byte    // nil: the round is Prepare; else it is Accept

	best    wire.Ballot // highest ballot of a genesis that a promise showed
	bestRaw []byte
	shown   [][]byte // each genesis that a promise showed
}

// blocked is an accepted genesis that stands against founding with the nodes
// that answer now.
type blocked struct {
	founders []founder // with whom it was tried
	genesis  *wire.Genesis
	given    bool            // an operator has given it up here, and others have not
	shown    []wire.Identity // founders of all that were shown
}

// patience is how many ticks one rank waits for the one before it, in retries.
const patience = 2

// maxSpoilt bounds how often that wait doubles.
const maxSpoilt = 3

// coordinate founds with everybody, if it is this node's turn to try.
func (f *Former) coordinate() {
	if f.try != nil && f.outdated() {
		f.try = nil
	}
	if f.try == nil {
		founders, problems := f.founders()
		if len(problems) > 0 || f.crowdChanged() {
			f.quiet = 0 // the wait begins when all are there
			return
		}
		if f.blockedFor(founders) || f.quiet < f.turn(founders) {
			return
		}
		f.begin(founders)
	}
	f.pursue()
}

// turn is for how many ticks it must have been quiet before this node tries.
// The lowest incarnation does at once, and only lets an attempt that another
// began come to its end; the others wait for those below them, the longer the
// more often they were in the way.
func (f *Former) turn(founders []founder) int {
	rank := slices.IndexFunc(founders, func(x founder) bool { return x.id.Incarnation == f.cfg.Self.Incarnation })
	step := patience * f.cfg.RetryTicks
	ticks := (rank * step) << min(f.spoilt, maxSpoilt)
	if f.yields {
		ticks += step
	}
	if f.cfg.Mode == Dynamic {
		ticks += step // for others to show themselves, that come up at the same time
	}
	return ticks
}

// begin promises to itself a ballot above all that it heard of.
func (f *Former) begin(founders []founder) {
	f.blocked = nil
	b := wire.Ballot{Counter: f.highest + 1, Node: f.cfg.Self.Incarnation}
	f.promised(b)
	f.quiet, f.yields = 0, false
	f.try = &attempt{ballot: b, founders: founders, got: make([]bool, len(founders))}
	f.restart(askPrepare)
	f.readPromise(f.cfg.Self.Incarnation, wire.Promise{Ballot: b, Accepted: f.d.Accepted, Genesis: f.d.Genesis})
}

// restart lets every founder be asked at once.
func (f *Former) restart(q question) {
	for _, x := range f.try.founders {
		if p := f.find(x.addr); p != nil { // nil: this node itself
			p.wait[q], p.no = 0, nil
		}
	}
}

// outdated says that another disk answers for one of the founders, or that
// others are to found now, where that is not settled yet.
func (f *Former) outdated() bool {
	if f.cfg.Mode == Dynamic && f.try.genesis == nil {
		now, _ := f.founders()
		return !slices.EqualFunc(now, f.try.founders, func(a, b founder) bool { return a.id.Incarnation == b.id.Incarnation })
	}
	return slices.ContainsFunc(f.try.founders, func(x founder) bool {
		p := f.find(x.addr)
		return p != nil && p.met && p.hello.Self.Incarnation != x.id.Incarnation
	})
}

// pursue asks those that have not answered in this round.
func (f *Former) pursue() {
	t := f.try
	if t == nil {
		return
	}
	for i, x := range t.founders {
		if t.got[i] {
			continue
		}
		to := x.id.Incarnation
		if t.genesis == nil {
			f.ask(f.find(x.addr), askPrepare, wire.Request{Prepare: &wire.Prepare{
				Ballot: t.ballot, To: to, Founders: identities(t.founders), Seeds: f.fixed(), Expect: f.cfg.Expect,
			}})
		} else {
			f.ask(f.find(x.addr), askAccept, wire.Request{Accept: &wire.Accept{Ballot: t.ballot, To: to, Genesis: t.genesis}})
		}
	}
}

// readPromise counts a promise; the last one opens the second round.
func (f *Former) readPromise(from cluster.Incarnation, r wire.Promise) {
	t := f.try
	i := f.counts(from, r.Ballot, r.Code)
	if i < 0 || t.genesis != nil {
		return
	}
	t.got[i] = true
	if r.Accepted.Compare(t.best) > 0 {
		t.best, t.bestRaw = r.Accepted, r.Genesis
	}
	if r.Genesis != nil && !slices.ContainsFunc(t.shown, func(raw []byte) bool { return bytes.Equal(raw, r.Genesis) }) {
		t.shown = append(t.shown, r.Genesis)
	}
	if slices.Contains(t.got, false) {
		return
	}
	raw, ok := f.choose()
	if !ok {
		f.try, f.quiet = nil, 0
		return
	}
	t.genesis = raw
	clear(t.got)
	f.accepts(t.ballot, raw)
	f.restart(askAccept)
	f.readAccept(f.cfg.Self.Incarnation, wire.AcceptReply{Ballot: t.ballot})
}

// readAccept counts an acceptance; the last one founds the cluster.
func (f *Former) readAccept(from cluster.Incarnation, r wire.AcceptReply) {
	t := f.try
	i := f.counts(from, r.Ballot, r.Code)
	if i < 0 || t.genesis == nil {
		return
	}
	t.got[i] = true
	if slices.Contains(t.got, false) {
		return
	}
	var others []string
	for _, x := range t.founders {
		if x.id.Incarnation != f.cfg.Self.Incarnation {
			others = append(others, x.addr)
		}
	}
	f.found(t.genesis, others)
}

// counts returns which founder of the present attempt an answer comes from, or
// -1 when it doesn't count. A promise to somebody else at a higher ballot ends
// the attempt; any other no is asked again.
func (f *Former) counts(from cluster.Incarnation, b wire.Ballot, code string) int {
	f.highest = max(f.highest, b.Counter)
	t := f.try
	if t == nil {
		return -1
	}
	i := slices.IndexFunc(t.founders, func(x founder) bool { return x.id.Incarnation == from })
	switch {
	case i < 0:
		return -1
	case code == codeBallotLow && b.Compare(t.ballot) > 0:
		f.try, f.quiet = nil, 0
		f.spoilt++
		return -1
	case code != "" || b != t.ballot:
		return -1
	}
	return i
}

// choose picks what to propose: the genesis accepted at the highest ballot,
// unchanged, or a new one where there is none or it may be replaced.
//
// With Dynamic any other that was accepted must be replaceable as well. Two
// attempts there may have nothing in common but a disk that was wiped; the new
// one doesn't know what the old one promised, and the higher ballot may belong
// to the one that nothing can come of.
func (f *Former) choose() ([]byte, bool) {
	t := f.try
	var instead [][]wire.Identity
	for _, raw := range t.shown {
		best := bytes.Equal(raw, t.bestRaw)
		if !best && f.cfg.Mode == Static {
			continue
		}
		old, err := wire.DecodeGenesis(raw)
		if best && err == nil && slices.EqualFunc(old.Founders, t.founders, sameFounder) && !f.abandoned(raw) {
			continue
		}
		if founders := f.against(old); err != nil || founders != nil {
			f.blocked = &blocked{founders: t.founders, shown: named(t.shown), genesis: &wire.Genesis{Founders: founders, Instead: append(old.Instead, old.Founders)}, given: f.abandoned(raw)}
			return nil, false
		}
		instead = slices.Concat(instead, old.Instead, [][]wire.Identity{old.Founders})
	}
	if old, err := wire.DecodeGenesis(t.bestRaw); err == nil && slices.EqualFunc(old.Founders, t.founders, sameFounder) {
		return t.bestRaw, true
	}
	g := wire.Genesis{
		Protocol: wire.Protocol, Cluster: f.cfg.Cluster,
		Founders: identities(t.founders), Seeds: f.fixed(), Nonce: f.cfg.Nonce, Instead: instead,
	}
	return g.Encode(), true
}

// named lists the founders of geneses, as far as they can be read.
func named(geneses [][]byte) (all []wire.Identity) {
	for _, raw := range geneses {
		if g, err := wire.DecodeGenesis(raw); err == nil {
			all = append(all, g.Founders...)
		}
	}
	return all
}

// against says whose absence stands against giving up an accepted genesis for
// one with the founders of this attempt; nil: nobody's. Those of its founders
// that still answer have all just promised, and so attested that they weren't
// founded by it. The others are gone: other incarnations answer at their
// addresses, and these are among the founders now. They are a minority, so
// nothing was ever committed by them alone.
//
// So it must be for each genesis that was given up before, too. One of those
// that promised may have been founded by it later after all, with one that was
// taken for gone and had only moved.
func (f *Former) against(old wire.Genesis) []wire.Identity {
	for _, founders := range slices.Concat(old.Instead, [][]wire.Identity{old.Founders}) {
		if len(missing(founders, f.try.founders)) >= len(founders)/2+1 {
			return founders
		}
	}
	gone := missing(old.Founders, f.try.founders)
	elsewhere := func(i wire.Identity) bool {
		return !slices.ContainsFunc(f.try.founders, func(x founder) bool { return x.addr == i.PeerAddr })
	}
	switch {
	case len(gone) == 0,
		f.cfg.Mode == Static && !sameSet(f.cfg.Seeds, old.Seeds),
		f.cfg.Mode == Dynamic && slices.ContainsFunc(gone, elsewhere):
		return old.Founders
	}
	return nil
}

// blockedFor says that the same founders failed already on a genesis that
// none of them will give up.
func (f *Former) blockedFor(now []founder) bool {
	return f.blocked != nil && slices.EqualFunc(f.blocked.founders, now, func(a, b founder) bool {
		return a.id.Incarnation == b.id.Incarnation
	})
}

func sameFounder(i wire.Identity, x founder) bool { return i.Incarnation == x.id.Incarnation }

// missing lists those of ids that are not among the founders.
func missing(ids []wire.Identity, among []founder) []wire.Identity {
	var out []wire.Identity
	for _, i := range ids {
		if !slices.ContainsFunc(among, func(x founder) bool { return sameFounder(i, x) }) {
			out = append(out, i)
		}
	}
	return out
}

func identities(founders []founder) []wire.Identity {
	ids := make([]wire.Identity, len(founders))
	for i, x := range founders {
		ids[i] = x.id
	}
	return ids
}
