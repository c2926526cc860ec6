package formation

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// world is some nodes with disks and a network that does what the test says.
// Nodes that are members answer as the real ones do; of raft there is just
// this: a majority of the founders can let somebody in.
type world struct {
	nodes    []*node
	flying   []message
	nextInc  byte
	learners map[cluster.ClusterID][]wire.Identity
	genesis  map[cluster.ClusterID]wire.Genesis // of all that were ever founded
	accepts  map[acceptance]bool                // all that were ever accepted
	real     map[cluster.ClusterID]bool         // had a majority of founders at one moment
	wiped    map[cluster.Incarnation]bool
	pins     map[string]cluster.ClusterID // by host, outside the disks; nil: there are none

	// crash, if set, is asked when a node has effects to carry out: 1 crashes
	// it before the save, 2 after it, before anything leaves, 3 before the save
	// and after the pin.
	crash func(*node) int
	// forget and sameDisk are bugs planted in the world around the code.
	forget   func(Durable) bool // this save is not made
	sameDisk bool               // a wiped disk keeps its incarnation
	broken   string             // something was shown before it was durable
	lose     string             // kind of message that is lost: see kind
	hold     string             // kind of message that is kept back
	held     []message
	log      func(format string, args ...any)
}

// acceptance is that an incarnation accepted the genesis of a cluster.
type acceptance struct {
	by cluster.Incarnation
	id cluster.ClusterID
}

type node struct {
	cfg  Config
	host string // address of the machine
	disk Durable
	f    *Former // nil: down, or a member
	up   bool
	boot int
}

// message is a question on its way to `to`, or an answer on its way back.
type message struct {
	from, to string
	boot     int // of the asker
	hello    wire.Hello
	req      *wire.Request
	resp     *wire.Response
}

func newWorld() *world {
	return &world{
		learners: map[cluster.ClusterID][]wire.Identity{},
		genesis:  map[cluster.ClusterID]wire.Genesis{},
		accepts:  map[acceptance]bool{},
		real:     map[cluster.ClusterID]bool{},
		wiped:    map[cluster.Incarnation]bool{},
	}
}

func (w *world) logf(format string, args ...any) {
	if w.log != nil {
		w.log(format, args...)
	}
}

func incarnation(n byte) cluster.Incarnation {
	var i cluster.Incarnation
	for k := range i {
		i[k] = n
	}
	return i
}

// add puts up a machine with an empty disk; it is not started.
func (w *world) add(host string, mode Mode, seeds []string, inc byte) *node {
	n := &node{host: host, cfg: Config{
		Cluster: "test", Mode: mode, Seeds: seeds, Nonce: []byte(host),
		Self: wire.Identity{Name: host, PeerAddr: host},
	}}
	n.setInc(incarnation(inc))
	w.nextInc = max(w.nextInc, inc)
	w.nodes = append(w.nodes, n)
	return n
}

func (n *node) setInc(i cluster.Incarnation) {
	n.cfg.Self.Incarnation, n.cfg.Self.NodeID = i, i.NodeID()
}

func (w *world) at(host string) *node {
	i := slices.IndexFunc(w.nodes, func(n *node) bool { return n.host == host })
	if i < 0 {
		return nil
	}
	return w.nodes[i]
}

func (n *node) member() bool { return n.disk.Stage == wire.InCluster }

func (n *node) hello() wire.Hello {
	h := wire.Hello{
		Protocol: wire.Protocol, Cluster: n.cfg.Cluster, ClusterID: n.disk.ClusterID,
		Self: n.cfg.Self, Stage: n.disk.stage(), Seeds: sortedSet(n.cfg.Seeds),
	}
	if n.f != nil {
		h.Pin = n.f.Pinned()
	}
	if n.cfg.Mode != Static {
		h.Seeds = nil
	}
	if n.cfg.Mode == Dynamic {
		h.Expect = n.cfg.Expect
	}
	return h
}

func (w *world) start(n *node) {
	if n.up {
		return
	}
	n.up = true
	n.boot++
	n.cfg.Nonce = fmt.Appendf(nil, "%s-%d", n.host, n.boot)
	if !n.member() {
		n.cfg.Pin = w.pins[n.host]
		n.f = New(n.cfg, n.disk)
		w.drain(n)
	}
}

func (w *world) stop(n *node) { n.up, n.f = false, nil }

// wipe empties the disk of a node that is down.
func (w *world) wipe(n *node) {
	w.stop(n)
	n.disk = Durable{}
	if w.sameDisk {
		return
	}
	w.wiped[n.cfg.Self.Incarnation] = true
	w.nextInc++
	n.setInc(incarnation(w.nextInc))
}

func (w *world) tick(n *node) {
	if n.f != nil {
		n.f.Tick()
		w.drain(n)
	}
}

// drain carries out what a node wants done; answers come as replies by ID, so
// it returns those.
func (w *world) drain(n *node) []Reply {
	e := n.f.Effects()
	fate := 0
	if w.crash != nil {
		fate = w.crash(n)
	}
	if fate == 1 {
		w.stop(n)
		return nil
	}
	if e.Save != nil && w.pins != nil && e.Save.Stage == wire.InCluster {
		w.pins[n.host] = e.Save.ClusterID
		if fate == 3 {
			w.logf("%s: crashes with its pin for %s", n.host, e.Save.ClusterID)
			w.stop(n)
			return nil
		}
	}
	if e.Save != nil {
		w.save(n, *e.Save)
	}
	if fate == 2 {
		w.stop(n)
		return nil
	}
	for _, ev := range e.Events {
		if w.log != nil {
			w.logf("%s: %s", n.host, ev.Text())
		}
	}
	for _, c := range e.Calls {
		req := c.Request
		w.durable(n, asking(req))
		w.flying = append(w.flying, message{from: n.host, to: c.Addr, boot: n.boot, hello: n.hello(), req: &req})
	}
	for _, r := range e.Replies {
		w.durable(n, saying(r.Response))
	}
	if e.Outcome != nil {
		n.f = nil
	}
	return e.Replies
}

// durable holds a node to what leaves it: its disk must have it already.
func (w *world) durable(n *node, shown Durable) {
	switch {
	case n.disk.Promised.Compare(shown.Promised) < 0:
		w.broken = fmt.Sprintf("%s showed the promise %s before it was durable", n.host, ballot(shown.Promised))
	case shown.Genesis != nil && !bytes.Equal(n.disk.Genesis, shown.Genesis):
		w.broken = fmt.Sprintf("%s showed that it accepted %s before that was durable", n.host, short(shown.Genesis))
	case !shown.Accepted.IsZero() && n.disk.Accepted != shown.Accepted:
		w.broken = fmt.Sprintf("%s showed that it accepted at %s before that was durable", n.host, ballot(shown.Accepted))
	case shown.Founded && !n.disk.Founded:
		w.broken = n.host + " showed that it was founded before that was durable"
	}
}

// asking is what a question shows of the asker.
func asking(r wire.Request) Durable {
	switch {
	case r.Prepare != nil:
		return Durable{Promised: r.Prepare.Ballot}
	case r.Accept != nil:
		return Durable{Promised: r.Accept.Ballot, Accepted: r.Accept.Ballot, Genesis: r.Accept.Genesis}
	case r.Commit != nil:
		return Durable{Genesis: r.Commit.Genesis, Founded: true}
	}
	return Durable{}
}

// saying is what an answer shows of the one that answers.
func saying(r wire.Response) Durable {
	switch {
	case r.Promise != nil && r.Promise.Code == "":
		return Durable{Promised: r.Promise.Ballot, Genesis: r.Promise.Genesis}
	case r.Accept != nil && r.Accept.Code == "":
		return Durable{Promised: r.Accept.Ballot, Accepted: r.Accept.Ballot}
	case r.Commit != nil && r.Commit.Code == "":
		return Durable{Founded: true}
	}
	return Durable{}
}

func (w *world) save(n *node, d Durable) {
	if w.log != nil {
		w.logf("%s: saves %s", n.host, describe(d))
	}
	if d.Founded && !n.disk.Founded {
		g, err := wire.DecodeGenesis(d.Genesis)
		if err != nil {
			panic(err)
		}
		w.genesis[d.ClusterID] = g
		if len(g.Founders) < 2 && n.cfg.Mode != Single {
			w.broken = n.host + " founded alone and was not told to"
		}
	}
	if d.Genesis != nil {
		w.accepts[acceptance{n.cfg.Self.Incarnation, wire.GenesisID(d.Genesis)}] = true
	}
	if w.forget != nil && w.forget(d) {
		return
	}
	n.disk = d
}

// deliver brings a message to its end.
func (w *world) deliver(m message) {
	switch m.kind() {
	case w.lose:
		return
	case w.hold:
		w.held = append(w.held, m)
		return
	}
	if m.resp != nil {
		n := w.at(m.to)
		if n.f == nil || n.boot != m.boot {
			return
		}
		w.logAnswer(m)
		n.f.Answered(m.from, m.hello, *m.resp)
		w.drain(n)
		return
	}
	asker, n := w.at(m.from), w.at(m.to)
	if n == nil || !n.up {
		w.fail(asker, m, nil, "connection refused")
		return
	}
	if r := refuse(n, m.hello); r != nil {
		w.fail(asker, m, r, "")
		return
	}
	w.logQuestion(m)
	if resp, ok := w.handle(n, m); ok {
		w.flying = append(w.flying, message{from: m.to, to: m.from, boot: m.boot, hello: n.hello(), resp: &resp})
	}
}

func refuse(n *node, h wire.Hello) *wire.Refusal {
	switch {
	case n.cfg.Self.Incarnation == h.Self.Incarnation:
		return &wire.Refusal{Code: wire.RefusedSelf, Reason: "a node reached itself"}
	case n.cfg.Cluster != h.Cluster:
		return &wire.Refusal{Code: wire.RefusedCluster, Reason: "another cluster name"}
	}
	return nil
}

func (w *world) fail(n *node, m message, r *wire.Refusal, err string) {
	if n.f != nil && n.boot == m.boot {
		n.f.Failed(m.to, r, err)
		w.drain(n)
	}
}

// handle is what the asked node does.
func (w *world) handle(n *node, m message) (wire.Response, bool) {
	if n.f == nil {
		if m.req.Join != nil {
			return w.join(n, *m.req.Join), true
		}
		return Answer(n.disk, w.membership(n.disk.ClusterID), *m.req), true
	}
	n.f.Asked(1, m.hello, *m.req)
	for _, r := range w.drain(n) {
		return r.Response, true
	}
	return wire.Response{}, false
}

// members counts the founders of a cluster that are there with their disks;
// up: only those that run.
func (w *world) members(id cluster.ClusterID, up bool) int {
	count := 0
	for _, n := range w.nodes {
		if n.disk.Founded && n.disk.ClusterID == id && (n.up || !up) {
			count++
		}
	}
	return count
}

func (w *world) membership(id cluster.ClusterID) cluster.Membership {
	g, ok := w.genesis[id]
	if !ok {
		return cluster.Membership{}
	}
	m := g.Membership(id)
	for _, l := range w.learners[id] {
		m.Put(l.Member(cluster.Learner))
	}
	return m
}

func (w *world) join(n *node, j wire.Join) wire.Response {
	id := n.disk.ClusterID
	if w.members(id, true) < len(w.genesis[id].Founders)/2+1 {
		return wire.Response{Join: &wire.JoinReply{Status: wire.JoinPending, Code: "no_leader", Reason: "no leader"}}
	}
	m := w.membership(id)
	if _, ok := m.Member(j.Self.NodeID); !ok {
		w.learners[id] = append(w.learners[id], j.Self)
		m = w.membership(id)
	}
	return wire.Response{Join: &wire.JoinReply{Status: wire.JoinDone, Membership: &m}}
}

// check returns what is wrong with the world, "" if nothing.
func (w *world) check() string {
	if w.broken != "" {
		return w.broken
	}
	for _, n := range w.nodes {
		for _, o := range w.nodes {
			if n.member() && o.member() && w.exclude(n.disk.ClusterID, o.disk.ClusterID) {
				return fmt.Sprintf("%s and %s are in two clusters", n.host, o.host)
			}
		}
	}
	for id, g := range w.genesis {
		if w.members(id, false) >= len(g.Founders)/2+1 {
			w.real[id] = true
		}
		for _, x := range g.Founders {
			if !w.accepts[acceptance{x.Incarnation, id}] {
				return fmt.Sprintf("cluster %s was founded without the acceptance of %s", id, x.Name)
			}
		}
	}
	for x := range w.real {
		for y := range w.real {
			if w.real[x] && w.real[y] && w.exclude(x, y) {
				return "two clusters could have committed something"
			}
		}
	}
	return ""
}

// exclude says that there must not be both clusters. Some may be: one founded
// by a single node on command, one all of whose founders are wiped or have given
// it up (not so with pins), and two whose founders met, each with its own and none
// with another's.
func (w *world) exclude(x, y cluster.ClusterID) bool {
	a, b := w.genesis[x], w.genesis[y]
	switch {
	case x == y, len(a.Founders) < 2, len(b.Founders) < 2:
		return false
	case w.pins == nil && (w.over(x) || w.over(y)):
		return false
	}
	return len(a.Seeds) > 0 || len(b.Seeds) > 0 || slices.ContainsFunc(a.Founders, func(i wire.Identity) bool { return b.Has(i.Incarnation) })
}

// over says that nobody is left that was in that cluster from the first, or ever
// could be.
func (w *world) over(id cluster.ClusterID) bool {
	for _, x := range w.genesis[id].Founders {
		gaveUp := slices.ContainsFunc(w.nodes, func(n *node) bool { return sameDisk(n.cfg.Self, x) && slices.Contains(n.disk.Abandoned, id) })
		if !w.wiped[x.Incarnation] && !gaveUp {
			return false
		}
	}
	return true
}

// run delivers everything in order and lets time pass.
func (w *world) run(ticks int) {
	for i := 0; i <= ticks; i++ {
		for len(w.flying) > 0 {
			m := w.flying[0]
			w.flying = w.flying[1:]
			w.deliver(m)
		}
		if i < ticks {
			for _, n := range w.nodes {
				w.tick(n)
			}
		}
	}
}

// kind names what a message is for in stories.
func (m message) kind() string {
	switch {
	case m.req != nil && m.req.Prepare != nil:
		return "prepare"
	case m.req != nil && m.req.Accept != nil:
		return "accept"
	case m.req != nil && m.req.Commit != nil:
		return "commit"
	case m.resp != nil && m.resp.Promise != nil:
		return "promise"
	case m.resp != nil && m.resp.Accept != nil:
		return "accepted"
	}
	return "other"
}

func describe(d Durable) string {
	switch d.stage() {
	case wire.Promised:
		return fmt.Sprintf("promised %s", ballot(d.Promised))
	case wire.Accepted:
		return fmt.Sprintf("promised %s, accepted %s %s", ballot(d.Promised), ballot(d.Accepted), short(d.Genesis))
	case wire.InCluster:
		if d.Founded {
			return "founded " + short(d.Genesis)
		}
		return "joined"
	}
	return string(d.stage())
}

func ballot(b wire.Ballot) string { return fmt.Sprintf("%d/%02x", b.Counter, b.Node[0]) }

// short shows a genesis by the names and incarnations of its founders.
func short(raw []byte) string {
	g, err := wire.DecodeGenesis(raw)
	if err != nil {
		return "no genesis"
	}
	var names []string
	for _, x := range g.Founders {
		names = append(names, fmt.Sprintf("%s/%02x", x.Name, x.Incarnation[0]))
	}
	return "[" + strings.Join(names, " ") + "]"
}

func (w *world) logQuestion(m message) {
	if w.log == nil {
		return
	}
	switch r := m.req; {
	case r.Prepare != nil:
		w.logf("%s -> %s: prepare %s", m.from, m.to, ballot(r.Prepare.Ballot))
	case r.Accept != nil:
		w.logf("%s -> %s: accept %s %s", m.from, m.to, ballot(r.Accept.Ballot), short(r.Accept.Genesis))
	case r.Commit != nil:
		w.logf("%s -> %s: commit %s", m.from, m.to, short(r.Commit.Genesis))
	case r.Join != nil:
		w.logf("%s -> %s: join", m.from, m.to)
	}
}

func (w *world) logAnswer(m message) {
	if w.log == nil {
		return
	}
	switch r := m.resp; {
	case r.Promise != nil && r.Promise.Code != "":
		w.logf("%s -> %s: no promise: %s", m.from, m.to, r.Promise.Code)
	case r.Promise != nil && r.Promise.Genesis != nil:
		w.logf("%s -> %s: promise, accepted %s %s", m.from, m.to, ballot(r.Promise.Accepted), short(r.Promise.Genesis))
	case r.Promise != nil:
		w.logf("%s -> %s: promise", m.from, m.to)
	case r.Accept != nil:
		w.logf("%s -> %s: %s", m.from, m.to, orElse(r.Accept.Code, "accepted"))
	case r.Join != nil:
		w.logf("%s -> %s: join %s", m.from, m.to, r.Join.Status)
	}
}
