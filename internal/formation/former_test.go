package formation

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// lone is a Former with the seeds a, b and c, which is at a and has seen the
// others blank.
func lone(d Durable) (*Former, *world) {
	w := trio()
	f := New(w.nodes[0].cfg, d)
	f.Failed("a", &wire.Refusal{Code: wire.RefusedSelf}, "")
	for _, n := range w.nodes[1:] {
		f.Answered(n.host, n.hello(), wire.Response{Probe: &wire.ProbeReply{}})
	}
	return f, w
}

func (w *world) genesisOf(nonce string) []byte {
	g := wire.Genesis{Protocol: wire.Protocol, Cluster: "test", Seeds: []string{"a", "b", "c"}, Nonce: []byte(nonce)}
	for _, n := range w.nodes {
		g.Founders = append(g.Founders, n.cfg.Self)
	}
	return g.Encode()
}

// TestHighestBallotIsProposedAgain: Paxos's rule for accepted values.
func TestHighestBallotIsProposedAgain(t *testing.T) {
	w := trio()
	low := wire.Ballot{Counter: 1, Node: incarnation(2)}
	high := wire.Ballot{Counter: 1, Node: incarnation(3)}
	f, _ := lone(Durable{Stage: wire.Promised, Promised: high})
	b := f.try.ballot
	if b.Counter != 2 {
		t.Fatalf("began with ballot %s, below or at what it promised", ballot(b))
	}
	f.Answered("b", w.nodes[1].hello(), wire.Response{Promise: &wire.Promise{Ballot: b, Accepted: high, Genesis: w.genesisOf("high")}})
	f.Answered("c", w.nodes[2].hello(), wire.Response{Promise: &wire.Promise{Ballot: b, Accepted: low, Genesis: w.genesisOf("low")}})
	e := f.Effects()
	if e.Save == nil || string(e.Save.Genesis) != string(w.genesisOf("high")) {
		t.Fatalf("accepted %+v", e.Save)
	}
}

// TestSecondRoundNeedsEveryPromise: a founder that did not promise might have
// accepted another genesis, or be founded by it; nobody is asked to accept
// before it has said. Nor is a cluster founded before everybody has accepted.
func TestSecondRoundNeedsEveryPromise(t *testing.T) {
	f, w := lone(Durable{})
	ballot := f.try.ballot
	f.Answered("b", w.nodes[1].hello(), wire.Response{Promise: &wire.Promise{Ballot: ballot}})
	for range 10 {
		f.Tick()
	}
	e := f.Effects()
	if asked := slices.ContainsFunc(e.Calls, func(c Call) bool { return c.Request.Accept != nil }); asked || f.Stage() != wire.Promised {
		t.Errorf("with two promises of three: %s, asks to accept: %v", f.Stage(), asked)
	}
	f.Answered("c", w.nodes[2].hello(), wire.Response{Promise: &wire.Promise{Ballot: ballot}})
	f.Answered("b", w.nodes[1].hello(), wire.Response{Accept: &wire.AcceptReply{Ballot: ballot}})
	for range 10 {
		f.Tick()
	}
	if e := f.Effects(); f.Stage() != wire.Accepted || e.Outcome != nil {
		t.Errorf("with two acceptances of three: %s, %+v", f.Stage(), e.Outcome)
	}
	f.Answered("c", w.nodes[2].hello(), wire.Response{Accept: &wire.AcceptReply{Ballot: ballot}})
	if e := f.Effects(); e.Outcome == nil || e.Save == nil || !e.Save.Founded {
		t.Errorf("with all acceptances: %s, %+v", f.Stage(), e.Outcome)
	}
}

// TestOnlyTheNamedDiskCounts: the promise of another disk at the address of a
// founder is nothing, and the attempt begins again with that one.
func TestOnlyTheNamedDiskCounts(t *testing.T) {
	f, w := lone(Durable{})
	b := f.try.ballot
	w.nodes[2].setInc(incarnation(7))
	for _, n := range w.nodes[1:] {
		f.Answered(n.host, n.hello(), wire.Response{Promise: &wire.Promise{Ballot: b}})
	}
	e := f.Effects()
	if f.Stage() != wire.Promised || f.try == nil || f.try.ballot.Counter != b.Counter+1 {
		t.Fatalf("%s, attempt %+v", f.Stage(), f.try)
	}
	asked := false
	for _, c := range e.Calls {
		asked = asked || c.Addr == "c" && c.Request.Prepare != nil && c.Request.Prepare.To == incarnation(7)
	}
	if !asked {
		t.Errorf("the new disk was not asked: %+v", e.Calls)
	}
}

// TestSaysNoToFounding: who doesn't take part in a founding, and in which words.
func TestSaysNoToFounding(t *testing.T) {
	w := trio()
	b := w.nodes[1]
	ask := func(f *Former, change func(*wire.Prepare)) string {
		f.Effects()
		p := wire.Prepare{
			Ballot: wire.Ballot{Counter: 9, Node: b.cfg.Self.Incarnation}, To: incarnation(1),
			Founders: []wire.Identity{w.nodes[0].cfg.Self, b.cfg.Self, w.nodes[2].cfg.Self}, Seeds: []string{"c", "b", "a"},
		}
		change(&p)
		f.Asked(7, b.hello(), wire.Request{Prepare: &p})
		e := f.Effects()
		if len(e.Replies) != 1 || e.Replies[0].ID != 7 || e.Replies[0].Response.Promise == nil {
			t.Fatalf("replies: %+v", e.Replies)
		}
		r := e.Replies[0].Response.Promise
		if (r.Code == "") != (e.Save != nil) || (r.Code == "") != (r.Refused == "") {
			t.Fatalf("%+v with save %+v", r, e.Save)
		}
		return r.Code
	}
	same := func(*wire.Prepare) {}
	static := func() *Former { f, _ := lone(Durable{}); return f }
	seeing := static()
	member := b.hello()
	member.Stage, member.ClusterID = wire.InCluster, cluster.ClusterID{1}
	seeing.Answered("b", member, wire.Response{Probe: &wire.ProbeReply{}})
	silent := seeing.Clone()
	silent.Failed("b", nil, "connection refused")
	join, single := w.nodes[0].cfg, w.nodes[0].cfg
	join.Mode, single.Mode = JoinOnly, Single
	accepted := Durable{Stage: wire.Accepted, Genesis: w.genesisOf("x"), Accepted: wire.Ballot{Counter: 1}, Promised: wire.Ballot{Counter: 1}}
	for _, c := range []struct {
		name   string
		f      *Former
		change func(*wire.Prepare)
		want   string
	}{
		{"willing", static(), same, ""},
		{"old ballot", static(), func(p *wire.Prepare) { p.Ballot.Counter = 0 }, codeBallotLow},
		{"old disk", static(), func(p *wire.Prepare) { p.To = incarnation(9) }, codeWrongDisk},
		{"other seeds", static(), func(p *wire.Prepare) { p.Seeds = []string{"a", "b"} }, codeSeeds},
		{"two founders for three seeds", static(), func(p *wire.Prepare) { p.Founders = p.Founders[:2] }, codeSeeds},
		{"without it", static(), func(p *wire.Prepare) { p.Founders = p.Founders[1:] }, codeMalformed},
		{"not sorted", static(), func(p *wire.Prepare) { p.Founders[0], p.Founders[1] = p.Founders[1], p.Founders[0] }, codeMalformed},
		{"for somebody else", static(), func(p *wire.Prepare) { p.Ballot.Node = incarnation(3) }, codeMalformed},
		{"sees a cluster", seeing, same, codeCluster},
		{"saw a cluster", silent, same, codeCluster},
		{"join only", New(join, Durable{}), same, codeJoinOnly},
		{"single that accepted", New(single, accepted), same, codeSingle},
	} {
		if got := ask(c.f, c.change); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// TestSingleAfterAccept: --single doesn't found while others may have founded
// with this node.
func TestSingleAfterAccept(t *testing.T) {
	w := trio()
	cfg := w.nodes[0].cfg
	cfg.Mode = Single
	if e := New(cfg, Durable{Stage: wire.Promised, Promised: wire.Ballot{Counter: 1}}); e.Effects().Outcome == nil {
		t.Error("a promise alone holds up --single")
	}
	f := New(cfg, Durable{Stage: wire.Accepted, Genesis: w.genesisOf("x"), Accepted: wire.Ballot{Counter: 1}})
	if e := f.Effects(); e.Outcome != nil || e.Save != nil {
		t.Errorf("founded: %+v", e)
	}
	if why := f.Why(); len(why) != 1 || why[0].Code != whySingleGenesis {
		t.Errorf("says %+v", why)
	}
	f.Asked(1, w.nodes[1].hello(), wire.Request{Commit: &wire.Commit{Genesis: w.genesisOf("x")}})
	if e := f.Effects(); e.Outcome == nil || e.Save == nil || !e.Save.Founded {
		t.Errorf("not founded by what it accepted: %+v", e)
	}
}

// TestUnreadableGenesisFreezes: what can't be read can't be contradicted.
func TestUnreadableGenesisFreezes(t *testing.T) {
	f, w := lone(Durable{Stage: wire.Accepted, Genesis: []byte("{"), Accepted: wire.Ballot{Counter: 1}})
	member := w.nodes[1].hello()
	member.Stage, member.ClusterID = wire.InCluster, cluster.ClusterID{1}
	f.Answered("b", member, wire.Response{Probe: &wire.ProbeReply{}})
	for range 100 {
		f.Tick()
	}
	e := f.Effects()
	for _, c := range e.Calls {
		if c.Request.Probe == nil {
			t.Errorf("asks %+v", c)
		}
	}
	if why := f.Why(); e.Save != nil || len(why) != 1 || why[0].Code != whyUnreadable {
		t.Errorf("save %+v, says %+v", e.Save, why)
	}
}

// TestOneCallAtATime: an address is not asked again while a call is under way,
// and is asked again when that is lost.
func TestOneCallAtATime(t *testing.T) {
	w := trio()
	f := New(w.nodes[0].cfg, Durable{})
	count := map[string]int{}
	for range lost*defaultRetryTicks - 1 {
		for _, c := range f.Effects().Calls {
			count[c.Addr]++
		}
		f.Tick()
	}
	if !reflect.DeepEqual(count, map[string]int{"a": 1, "b": 1, "c": 1}) {
		t.Fatalf("calls: %v", count)
	}
	f.Tick()
	if n := len(f.Effects().Calls); n != 3 {
		t.Fatalf("%d calls after all were lost", n)
	}
	f.Failed("b", nil, "connection refused")
	f.Failed("b", nil, "b: connection refused")
	if why := f.Why(); !slices.ContainsFunc(why, func(r event.Reason) bool { return strings.HasPrefix(r.Text, "b has not answered for 2s: connection") }) {
		t.Errorf("it names the address other than once: %v", why)
	}
	for range defaultRetryTicks {
		f.Tick()
	}
	if calls := f.Effects().Calls; len(calls) != 1 || calls[0].Addr != "b" {
		t.Fatalf("calls after a failure: %+v", calls)
	}
}

// TestJoinKeepsAsking: in turn while pending, slowly when refused.
func TestJoinKeepsAsking(t *testing.T) {
	w := trio()
	cfg := w.nodes[0].cfg
	cfg.Mode, cfg.Seeds = JoinOnly, []string{"b", "c"}
	f := New(cfg, Durable{})
	member := func(i int) wire.Hello {
		h := w.nodes[i].hello()
		h.Stage, h.ClusterID = wire.InCluster, cluster.ClusterID{1}
		return h
	}
	joins := func() (to []string) {
		for _, c := range f.Effects().Calls {
			if c.Request.Join != nil {
				to = append(to, c.Addr)
			}
		}
		return to
	}
	wait := func(ticks int) {
		for range ticks {
			f.Tick()
			f.Failed("c", nil, "x") // keeps probes out of the way
			f.Answered("b", member(1), wire.Response{Probe: &wire.ProbeReply{}})
			f.Answered("c", member(2), wire.Response{Probe: &wire.ProbeReply{}})
		}
	}
	f.Answered("b", member(1), wire.Response{Probe: &wire.ProbeReply{}})
	if got := joins(); got != nil {
		t.Fatalf("asked %v before c was heard of", got)
	}
	f.Answered("c", member(2), wire.Response{Probe: &wire.ProbeReply{}})
	if got := joins(); !reflect.DeepEqual(got, []string{"b"}) {
		t.Fatalf("asked %v first", got)
	}
	f.Answered("b", member(1), wire.Response{Join: &wire.JoinReply{Status: wire.JoinPending}})
	wait(defaultRetryTicks)
	if got := joins(); !reflect.DeepEqual(got, []string{"c"}) {
		t.Fatalf("asked %v after b said pending", got)
	}
	f.Answered("c", member(2), wire.Response{Join: &wire.JoinReply{Status: wire.JoinRefused, Code: "name_taken", Reason: "the name is taken"}})
	if why := f.Why(); len(why) != 1 || why[0].Code != whyRefused {
		t.Fatalf("says %+v", why)
	}
	wait(slow*defaultRetryTicks - 1)
	if got := joins(); got != nil {
		t.Fatalf("asked %v soon after a refusal", got)
	}
	wait(1)
	if got := joins(); len(got) != 1 {
		t.Fatalf("asked %v in the end", got)
	}
}

// TestAnswer: what members say to those that form.
func TestAnswer(t *testing.T) {
	w := trio()
	raw := w.genesisOf("x")
	d := Durable{Stage: wire.InCluster, Founded: true, Genesis: raw, ClusterID: wire.GenesisID(raw)}
	g, err := wire.DecodeGenesis(raw)
	if err != nil {
		t.Fatal(err)
	}
	m := g.Membership(d.ClusterID)
	if p := Answer(d, m, wire.Request{Probe: &wire.Probe{}}).Probe; string(p.Genesis) != string(raw) || !reflect.DeepEqual(p.Known, []string{"a", "b", "c"}) {
		t.Errorf("probe: %+v", p)
	}
	if p := Answer(d, m, wire.Request{Prepare: &wire.Prepare{}}).Promise; p.Code != codeNotBlank {
		t.Errorf("prepare: %+v", p)
	}
	if a := Answer(d, m, wire.Request{Accept: &wire.Accept{}}).Accept; a.Code != codeNotBlank {
		t.Errorf("accept: %+v", a)
	}
	if c := Answer(d, m, wire.Request{Commit: &wire.Commit{Genesis: raw}}).Commit; c.Code != "" {
		t.Errorf("commit of its own: %+v", c)
	}
	if c := Answer(d, m, wire.Request{Commit: &wire.Commit{Genesis: w.genesisOf("y")}}).Commit; c.Code == "" {
		t.Error("commit of another genesis is fine")
	}
	if a := Answer(Durable{Stage: wire.Removed}, m, wire.Request{Accept: &wire.Accept{}}).Accept; a.Code != "removed" {
		t.Errorf("removed: %+v", a)
	}
	if r := Answer(d, m, wire.Request{Join: &wire.Join{}}); r.Nack == nil {
		t.Errorf("join: %+v", r)
	}
}

// TestCloneGoesItsOwnWay: and has the same fingerprint until it does.
func TestCloneGoesItsOwnWay(t *testing.T) {
	f, w := lone(Durable{})
	c := f.Clone()
	before := f.Fingerprint()
	if c.Fingerprint() != before {
		t.Fatal("a clone differs")
	}
	c.Answered("b", w.nodes[1].hello(), wire.Response{Promise: &wire.Promise{Ballot: c.try.ballot}})
	c.Failed("c", nil, "x")
	if f.Fingerprint() != before {
		t.Error("the clone's inputs reached the original")
	}
	if c.Fingerprint() == before {
		t.Error("another state has the same fingerprint")
	}
}
