package formation

import (
	"slices"
	"strings"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// Former takes one node from an empty data directory to a cluster. It is owned
// by one goroutine.
type Former struct {
	cfg   Config
	d     Durable
	dirty bool // d was changed since Effects
	done  bool // founded or joined

	accepted   *wire.Genesis     // d.Genesis decoded; nil: none, or unreadable
	acceptedID cluster.ClusterID // its cluster's ID
	peers      []peer            // sorted by address

	try     *attempt              // this node coordinates; nil: it does not
	highest uint64                // highest ballot counter heard of
	quiet   int                   // ticks for which all founders have answered and nobody began an attempt
	crowd   []cluster.Incarnation // Dynamic: who was there in these ticks, see around
	yields  bool                  // quiet began with another node's attempt
	spoilt  int                   // attempts of this node that met a higher ballot
	blocked *blocked              // why a founding attempt was given up; nil: none was

	joinID   cluster.ClusterID // cluster that was asked to let this node in
	joinAt   string            // member asked last
	joinWait int               // ticks until the next is asked
	joinOpen bool              // that call is under way
	joining  *wire.JoinReply   // newest answer; nil: none yet

	ticks int // since New
	told  string
	out   Effects
}

// New starts where the durable state d stands, which is blank, promised or
// accepted. Call Effects next: there may be something to do at once.
func New(cfg Config, d Durable) *Former {
	f := &Former{cfg: cfg.withDefaults(), d: d}
	f.d.Stage = d.stage()
	f.highest = d.Promised.Counter
	if f.cfg.Mode != Single {
		for _, addr := range f.cfg.Seeds {
			f.peers = append(f.peers, peer{addr: addr, seed: true})
		}
	}
	f.setAccepted()
	f.proceed()
	return f
}

// Tick says that time passed.
func (f *Former) Tick() {
	if f.done {
		return
	}
	f.ticks++
	f.quiet++
	f.joinWait = max(0, f.joinWait-1)
	for i := range f.peers {
		p := &f.peers[i]
		p.state++
		for q := range p.wait {
			p.wait[q] = max(0, p.wait[q]-1)
		}
	}
	f.proceed()
	f.tell()
}

// Answered takes the answer to a Call. It may come late or twice.
func (f *Former) Answered(addr string, h wire.Hello, r wire.Response) {
	p := f.find(addr)
	if f.done || p == nil {
		return
	}
	f.answered(p, h)
	for _, q := range answers(r) {
		p.wait[q] = min(p.wait[q], f.cfg.RetryTicks)
	}
	if h.Protocol == wire.Protocol && h.Cluster == f.cfg.Cluster && !p.self {
		f.read(addr, h, r)
	}
	f.proceed()
}

// read acts on an answer from a node that speaks of the same cluster.
func (f *Former) read(addr string, h wire.Hello, r wire.Response) {
	switch {
	case r.Probe != nil:
		f.readProbe(f.find(addr), *r.Probe)
	case r.Promise != nil:
		f.find(addr).says(r.Promise.Code, r.Promise.Refused)
		f.readPromise(h.Self.Incarnation, *r.Promise)
	case r.Accept != nil:
		f.find(addr).says(r.Accept.Code, r.Accept.Refused)
		f.readAccept(h.Self.Incarnation, *r.Accept)
	case r.Join != nil:
		f.readJoin(f.find(addr), *r.Join)
	case r.Nack != nil:
		f.joinEnded(addr)
	}
}

// readProbe learns addresses, and by which genesis a member's cluster was founded.
func (f *Former) readProbe(p *peer, r wire.ProbeReply) {
	if f.cfg.Mode == Dynamic && !p.probed {
		p.wait[askProbe] = 1 // it had not met this node before it said whom it sees
	}
	p.probed, p.genesis, p.names, p.sees = true, nil, false, r.Sees
	if p.in(f.cfg.Cluster) && len(r.Genesis) > 0 && wire.GenesisID(r.Genesis) == p.hello.ClusterID {
		if g, err := wire.DecodeGenesis(r.Genesis); err == nil {
			p.genesis, p.names = r.Genesis, g.Has(f.cfg.Self.Incarnation)
		}
	}
	for _, addr := range r.Known {
		f.learn(addr)
	}
}

// answers lists the kinds of question that a response may answer.
func answers(r wire.Response) []question {
	switch {
	case r.Probe != nil:
		return []question{askProbe}
	case r.Promise != nil:
		return []question{askPrepare}
	case r.Accept != nil:
		return []question{askAccept}
	case r.Nack != nil:
		return []question{askProbe, askPrepare, askAccept}
	}
	return nil
}

// Failed says that a Call came to nothing: the peer refused it (refusal is not
// nil), or it couldn't be reached, and err says why.
func (f *Former) Failed(addr string, refusal *wire.Refusal, err string) {
	p := f.find(addr)
	if f.done || p == nil {
		return
	}
	f.failed(p, refusal, strings.TrimPrefix(err, addr+": ")) // every reason names it
	f.joinEnded(addr)
	f.proceed()
}

// Asked takes a question from a peer that the host has let in (same protocol,
// same cluster name). The answer comes as a Reply with this ID, in the next
// Effects.
func (f *Former) Asked(id uint64, h wire.Hello, r wire.Request) {
	f.out.Replies = append(f.out.Replies, Reply{ID: id, Response: f.answer(h, r)})
	if f.done {
		return
	}
	if h.Cluster == f.cfg.Cluster && f.cfg.Mode != Single {
		f.learn(h.Self.PeerAddr)
		f.wake(h.Self.Incarnation)
	}
	f.proceed()
}

// Met hears of a node that connected and was not let in, such as a member that
// has admitted this one whose answer was lost: it may be asked like a seed.
func (f *Former) Met(h wire.Hello) {
	if f.done || h.Cluster != f.cfg.Cluster || f.cfg.Mode == Single {
		return
	}
	f.learn(h.Self.PeerAddr)
	f.proceed()
}

func (f *Former) answer(h wire.Hello, r wire.Request) wire.Response {
	switch {
	case f.done:
		return Answer(f.d, cluster.Membership{}, r)
	case r.Probe != nil:
		p := f.ProbeReply()
		return wire.Response{Probe: &p}
	case r.Prepare != nil:
		p := f.promise(h, *r.Prepare)
		return wire.Response{Promise: &p}
	case r.Accept != nil:
		a := f.accept(*r.Accept)
		return wire.Response{Accept: &a}
	case r.Commit != nil:
		c := f.commit(*r.Commit)
		return wire.Response{Commit: &c}
	}
	return wire.Response{Nack: &wire.Nack{Code: "not_a_member", Reason: "this node is in no cluster yet"}}
}

// proceed does whatever the present state asks for.
func (f *Former) proceed() {
	if f.done {
		return
	}
	if raw := f.provenGenesis(); raw != nil {
		f.found(raw, nil)
		return
	}
	if f.accepted != nil && len(f.accepted.Founders) == 1 {
		f.found(f.d.Genesis, nil) // its own: it was to found alone, and that needs nobody
		return
	}
	id, joins := f.target()
	switch {
	case joins:
		f.try = nil
		f.askToJoin(id)
	case f.seesCluster() || f.unreadable() || f.pinned():
		f.try = nil
	case f.cfg.Mode == Single:
		f.foundAlone()
	case f.cfg.Mode == Static, f.cfg.Mode == Dynamic:
		f.coordinate()
	}
	f.probe()
}

// unreadable says that this node accepted a genesis which it can't decode. It
// then does nothing that could contradict it.
func (f *Former) unreadable() bool { return f.d.Stage == wire.Accepted && f.accepted == nil }

// setAccepted follows a change of d.Genesis.
func (f *Former) setAccepted() {
	f.accepted, f.acceptedID = nil, cluster.ClusterID{}
	if f.d.Stage != wire.Accepted {
		return
	}
	f.acceptedID = wire.GenesisID(f.d.Genesis)
	g, err := wire.DecodeGenesis(f.d.Genesis)
	if err != nil {
		return
	}
	f.accepted = &g
	if f.cfg.Mode == Dynamic {
		for _, x := range g.Founders {
			f.learn(x.PeerAddr)
		}
	}
}

// found makes this node a founder by a genesis that it accepted, or alone.
// tell are the addresses of founders to be told.
func (f *Former) found(raw []byte, tell []string) {
	g, err := wire.DecodeGenesis(raw)
	if err != nil {
		return // unreadable: Why says so
	}
	id := wire.GenesisID(raw)
	f.d.Stage, f.d.Founded, f.d.Genesis, f.d.ClusterID = wire.InCluster, true, raw, id
	f.finish(&Outcome{Genesis: &g, GenesisBytes: raw})
	var names []string
	for _, i := range g.Founders {
		names = append(names, i.Name)
	}
	f.out.Events = append(f.out.Events, event.Founded{Cluster: id, Founders: names})
	for _, addr := range tell {
		f.out.Calls = append(f.out.Calls, Call{Addr: addr, Request: wire.Request{Commit: &wire.Commit{Genesis: raw}}})
	}
}

// foundAlone is what --single asks for. A genesis that was accepted with
// others stands against it: they may have founded a cluster by it.
func (f *Former) foundAlone() {
	if f.d.Stage == wire.Accepted {
		return
	}
	g := wire.Genesis{
		Protocol: wire.Protocol, Cluster: f.cfg.Cluster,
		Founders: []wire.Identity{f.cfg.Self}, Nonce: f.cfg.Nonce,
	}
	f.found(g.Encode(), nil)
}

// finish ends formation.
func (f *Former) finish(o *Outcome) {
	f.done, f.dirty, f.try = true, true, nil
	f.out.Calls = nil
	f.out.Outcome = o
}

// Stage is how far the node has come. After a change it may be shown only
// once Save of the Effects is durable.
func (f *Former) Stage() wire.Stage { return f.d.Stage }

// Effects returns what is to be done, and forgets it.
func (f *Former) Effects() Effects {
	out := f.out
	f.out = Effects{}
	if f.dirty {
		d := f.d
		out.Save, f.dirty = &d, false
	}
	return out
}

// tell sends a Forming event when the reasons changed; at most one each tick.
func (f *Former) tell() {
	if f.done {
		return
	}
	stage := string(f.d.Stage)
	_, joins := f.target()
	if joins {
		stage = "joining"
	}
	reasons, key := f.Why(), stage
	for _, r := range reasons {
		about := r.Addr + " " + r.Peer.String()
		if joins {
			about = f.joinAnswer() // whom it asks changes with each question, and says nothing new
		}
		key += "\n" + r.Code + " " + about
	}
	if key == f.told {
		return
	}
	f.told = key
	f.out.Events = append(f.out.Events, event.Forming{Stage: stage, Reasons: slices.Clone(reasons)})
}
