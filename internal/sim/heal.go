package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/formation"
)

// Bounds on how long it may take after the last fault. The first is for a
// leader, from when a majority of the voters is up: four election timeouts, as
// most runs keep (see Stats.LateLeaders); no run may take longer than the second.
const (
	election   = electionTicks * 100 * millisecond
	soonLeader = 4 * election
	lateLeader = 16 * election
	settling   = 120 * second
	leasesEnd  = 3*longestLease*second + lateLeader // without a renewal
)

// heal ends all faults and demands a good end: a leader, no joint
// configuration, everybody admitted, caught up and equal, with nothing
// proposed any more.
func (w *World) heal() {
	w.say("all faults end")
	w.healing = true
	w.clients.stopped = true
	w.net.calm()
	w.ambushes = nil
	for _, n := range w.nodes {
		n.skew = 1
		n.resume()
		n.mend()
		if n.up() {
			n.disk.attach(n.proc)
		}
	}
	w.startAll()
	begun := w.now
	w.await(lateLeader, w.led)
	if w.failure != "" {
		w.fail("no leader %v s after the last fault\n%s", lateLeader/second, w)
		return
	}
	w.leaderTook = w.now - begun
	w.await(leasesEnd, w.leasesLeft)
	w.await(settling, func() string { return cmp.Or(w.leasesLeft(), w.settled()) }) // one may have been granted late
}

// await lets time pass until the condition holds.
func (w *World) await(most instant, cond func() string) {
	until := w.now + most
	why := ""
	for w.failure == "" {
		if why = cond(); why == "" {
			return
		}
		if w.now >= until {
			w.fail("%d s after the last fault: %s\n%s", most/second, why, w)
			return
		}
		w.runUntil(w.now + 100*millisecond)
		w.reseed()
		w.startAll() // those that ended because of what had befallen them before
	}
}

// reseed gives other addresses to nodes that know of no leader and were told to
// ask members which are no more, or elsewhere: nobody but their operator can.
func (w *World) reseed() {
	for _, n := range w.nodes {
		served := slices.ContainsFunc(n.seeds, func(seed string) bool { return seed != n.host && w.serves(seed) })
		if n.gone || !n.up() || n.proc.view.Status.Leader != 0 || w.truth.latestAt == 0 || served || slices.Equal(n.seeds, w.hosts()) {
			continue
		}
		w.say("operator: %s is told other addresses", n.host)
		n.kill()
		n.mode, n.seeds = formation.JoinOnly, w.hosts()
	}
}

// serves says that a member answers at the address.
func (w *World) serves(host string) bool {
	return slices.ContainsFunc(w.running(), func(p *process) bool { return p.node.host == host && p.m.InCluster() })
}

// leader is the process that leads with the highest term, or nil.
func (w *World) leader() *process {
	var l *process
	for _, p := range w.running() {
		if p.alive() && p.view.Status.State == "leader" && (l == nil || p.view.Status.Term > l.view.Status.Term) {
			l = p
		}
	}
	return l
}

// led says that somebody leads whom a majority follows; else why not.
func (w *World) led() string {
	l := w.leader()
	if l == nil {
		return "nobody leads"
	}
	follow, voters := 0, l.view.Membership.Voters()
	for _, id := range voters {
		m, _ := l.view.Membership.Member(id)
		if n := w.truth.owners[m.Incarnation]; n != nil && n.up() && n.proc.alive() && n.proc.view.Status.Leader == l.self.NodeID {
			follow++
		}
	}
	if follow <= len(voters)/2 {
		return fmt.Sprintf("%s leads, but only %d of %d voters follow", l, follow, len(voters))
	}
	return ""
}

// settled says that all is well; else what isn't.
func (w *World) settled() string {
	if why := w.led(); why != "" {
		return why
	}
	l := w.leader()
	s := &l.view.Status
	switch {
	case s.Joint || len(l.view.Membership.Leaving) > 0:
		return "the configuration is joint"
	case s.Applied != s.Last || s.Applied != w.truth.committed():
		return fmt.Sprintf("%s leads with %d applied, %d in its log, %d committed", l, s.Applied, s.Last, w.truth.committed())
	case w.ops.waiting() > 0:
		return "an operator waits for an answer"
	}
	for _, n := range w.nodes {
		if n.gone {
			continue
		}
		if why := w.unsettled(n, l); why != "" {
			return n.host + " " + why
		}
	}
	return w.atRest(l)
}

// unsettled says what a node lacks to be a member like the others, or "".
func (w *World) unsettled(n *node, l *process) string {
	switch p := n.proc; {
	case p == nil || !p.alive():
		return "is down"
	case !p.m.InCluster():
		why := ""
		for _, r := range p.view.Why {
			why += "; " + r.Text
		}
		return "is no member" + why
	case !slices.ContainsFunc(l.view.Membership.Members, func(m cluster.Member) bool { return m.ID == p.self.NodeID }):
		return "was removed and doesn't know it"
	case !p.known(l):
		return "is elsewhere than the members have it"
	case p.view.Status.Applied != l.view.Status.Applied:
		return fmt.Sprintf("has applied %d of %d", p.view.Status.Applied, l.view.Status.Applied)
	case p.view.Status.Leader != l.self.NodeID:
		return "follows another leader"
	case p.regs.at() != w.truth.committed():
		return fmt.Sprintf("has a machine at %d of %d", p.regs.at(), w.truth.committed())
	case p.regs.differs(&w.truth) != "":
		w.fail("%s has another state than the log makes: %s", p, p.regs.differs(&w.truth))
	case len(p.waiting)+len(p.reading) > 0:
		return "has clients that wait"
	}
	return ""
}

// known says that the members have the process where it is.
func (p *process) known(l *process) bool {
	m, _ := l.view.Membership.Member(p.self.NodeID)
	return m.PeerAddr == p.self.PeerAddr && m.Zone == p.self.Zone && m.Name == p.self.Name
}

// String is the world for failures.
func (w *World) String() string {
	var b strings.Builder
	for _, n := range w.nodes {
		if !n.up() {
			fmt.Fprintf(&b, "  %s: down, gone %v, disk of %s\n", n.host, n.gone, n.inc.NodeID())
			continue
		}
		p := n.proc
		s := &p.view.Status
		fmt.Fprintf(&b, "  %s %s: %s %s term %d leader %s applied %d committed %d log %d-%d joint %v\n",
			n.host, p.self.NodeID, p.view.Stage, s.State, s.Term, s.Leader, s.Applied, s.Committed, s.First, s.Last, s.Joint)
		for _, m := range s.Members {
			fmt.Fprintf(&b, "      %s %s %s match %d active %v %s\n", m.Name, m.ID, m.Role, m.Match, m.Active, m.Progress)
		}
		for _, r := range p.view.Why {
			fmt.Fprintf(&b, "      why: %s: %s\n", r.Code, r.Text)
		}
	}
	return b.String()
}
