package sim

import (
	"fmt"
	"slices"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/wire"
)

// operators change the membership by hand, through any member.
type operators struct {
	w        *World
	requests []*request // all of them, in order
}

// request is a change that an operator wants.
type request struct {
	o     *operators
	p     *process // through which it is asked for
	what  string
	c     wire.Change
	until instant
	over  bool
}

// open says whether the operator still waits.
func (r *request) open() bool { return !r.over && r.p.alive() }

// waiting counts those that operators wait for.
func (o *operators) waiting() (n int) {
	for _, r := range o.requests {
		if r.open() {
			n++
		}
	}
	return n
}

// demand asks a member for a change until it is decided, as muster's own
// commands do, with one request ID.
func (o *operators) demand(p *process, what string, c wire.Change) {
	c.Request = fmt.Sprintf("operator-%d", len(o.requests)+1)
	if c.Why == "" {
		c.Why = whyAsked
	}
	r := &request{o: o, p: p, what: what, c: c, until: o.w.now + 20*second}
	o.requests = append(o.requests, r)
	o.w.say("operator at %s: %s", p.node.host, what)
	r.try()
	p.settle()
}

// try asks once, and again when the answer is not final.
func (r *request) try() {
	if !r.open() {
		return
	}
	if !r.p.m.InCluster() {
		r.over = true
		return
	}
	answered := false
	answer := func(x wire.ChangeReply) {
		if !answered && r.open() {
			answered = true
			r.answer(x)
		}
	}
	r.p.m.Change(r.c, answer)
	r.p.m.Drive()
	r.p.input("operator's patience", 3*second, func() {
		answer(wire.ChangeReply{Status: wire.ChangeUnknown, Code: "timeout", Reason: "no answer in time"})
	})
}

func (r *request) answer(x wire.ChangeReply) {
	w := r.o.w
	if final := x.Status == wire.ChangeApplied || x.Status == wire.ChangeRefused; !final && w.now < r.until {
		w.schedule(100*millisecond, "operator", r.p, r.try)
		return
	}
	r.over = true
	w.say("operator at %s: %s: %s %s %s", r.p.node.host, r.what, x.Status, x.Code, x.Reason)
	w.sometimes("an operator heard " + string(x.Status))
	if x.Code == "below_floor" {
		w.sometimes(floorRefused)
	}
	if x.Status == wire.ChangeApplied {
		w.after(0, "look", func() { r.o.applied(r.p, r.c, x) }) // when the member that answered shows it, too
	}
}

// applied holds an answer to the truth, and ends a member that has left.
func (o *operators) applied(p *process, c wire.Change, r wire.ChangeReply) {
	for _, s := range c.Steps {
		if s.Op != wire.OpRemove {
			continue
		}
		if o.there(s.Member.ID) {
			o.w.fail("%s was told that %s is removed at index %d, but it isn't as of %d", p, s.Member.ID, r.Index, o.w.truth.latestAt)
		}
		if p.alive() && s.Member.ID == p.self.NodeID && p.view.Status.Leader != p.self.NodeID {
			p.m.Left(r.Index)
			p.settle()
		}
	}
}

// join puts up another machine, which asks to be let in.
func (o *operators) join() {
	w := o.w
	if len(w.nodes) >= maxNodes {
		return
	}
	n := w.add(formation.JoinOnly, w.hosts())
	w.say("operator: %s is to join", n.host)
	n.start()
}

// remove takes a member out, for good.
func (o *operators) remove(p *process, id cluster.NodeID, name string) {
	o.demand(p, "remove "+name, wire.Change{Steps: []wire.Step{{Op: wire.OpRemove, Member: cluster.Member{ID: id}}}})
}

// removeBelowFloor takes a member out even if too few voters are left.
func (o *operators) removeBelowFloor(p *process, id cluster.NodeID, name string) {
	steps := []wire.Step{{Op: wire.OpRemove, Member: cluster.Member{ID: id}, BelowFloor: true}}
	o.demand(p, "remove "+name+" whatever the floor", wire.Change{Steps: steps, Why: whyBelowFloor})
}

// transfer moves leadership.
func (o *operators) transfer(p *process, id cluster.NodeID, name string) {
	o.demand(p, "transfer to "+name, wire.Change{Steps: []wire.Step{{Op: wire.OpTransfer, Member: cluster.Member{ID: id}}}})
}

// lost lists the members whose disk is no more.
func (o *operators) lost() []cluster.Member {
	var out []cluster.Member
	for _, m := range o.w.truth.latest.Members {
		n := o.w.truth.owners[m.Incarnation]
		if n == nil || n.inc != m.Incarnation || n.stale {
			out = append(out, m)
		}
	}
	return out
}

// mayWipe says whether the cluster survives the loss of a disk: nothing is
// under way, everybody else is up and has everything, and a majority stays.
func (o *operators) mayWipe(n *node) bool {
	t := &o.w.truth
	if o.waiting() > 0 || len(t.latest.Leaving) > 0 || len(o.lost()) > 0 {
		return false
	}
	voters := t.latest.Voters()
	if t.latestAt == 0 { // still forming, or just formed
		return o.w.plan.founders > 2 && !slices.ContainsFunc(o.w.nodes, func(n *node) bool { return n.lives > 0 })
	}
	if _, ok := t.latest.Member(n.inc.NodeID()); !ok {
		return true // it has nothing to lose
	}
	if len(voters) < 3 {
		return false
	}
	for _, m := range t.latest.Members {
		x := t.owners[m.Incarnation]
		if x == n {
			continue
		}
		if x == nil || !x.up() || x.proc.view == nil {
			return false
		}
		s := x.proc.view.Status
		if s.Joint || s.Applied != t.committed() || s.Last != t.committed() || s.Leader == 0 {
			return false
		}
	}
	return true
}
