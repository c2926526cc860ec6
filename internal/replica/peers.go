package replica

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/roster"
	"github.com/musterhq/muster/internal/wire"
)

// peers is what a leader watches of the others.
type peers struct {
	heard   map[cluster.NodeID]*heard
	lags    map[cluster.NodeID]*lag   // how they have kept up; see lagging.go
	waiting []waiter                  // to be let in; in the order in which they asked
	added   map[cluster.NodeID]uint64 // tick at which this leader added a learner
	began   uint64                    // tick at which the term began
	offered uint64                    // tick at which leadership was offered last; 0: never
	why     roster.Why                // of the last plan
	plan    uint64                    // numbers the planner's changes of this term
}

// heard is one peer's life as the leader sees it, in ticks of this member.
type heard struct {
	last   uint64 // a message came
	since  uint64 // without a break from here on
	silent bool   // nothing came for an election timeout, or what was sent was lost

	stopping uint64 // tick at which it gave its role away, about to stop; 0: it didn't

	// Catch-up rounds (Raft thesis §4.2.1): in a round the peer gets what the
	// log held when the round began.
	target   uint64 // index that ends the round; 0: none begun
	began    uint64
	caughtUp bool // the last round took less than an election timeout
}

func (p *peers) startTerm(tick uint64) {
	clear(p.heard)
	clear(p.lags)
	p.waiting = nil
	p.added, p.began = map[cluster.NodeID]uint64{}, tick
	p.why, p.plan = nil, 0
}

// silence is for how long the peer has not answered, in ticks, and whether it
// is known that it never has.
func (p *peers) silence(id cluster.NodeID, tick uint64) (ticks int, unseen bool) {
	if h := p.heard[id]; h != nil {
		return int(tick - h.last), false
	}
	added, ok := p.added[id]
	return int(tick - max(p.began, added)), ok
}

func (r *Replica) heard(from cluster.NodeID) {
	if from == cluster.NodeID(r.basic.Lead) {
		r.leaderAt = r.tick
	}
	if r.termStart == 0 {
		return
	}
	h := r.peers.heard[from]
	if h == nil || h.silent {
		h = &heard{since: r.tick}
		r.peers.heard[from] = h
	}
	h.last = r.tick
}

func (h *heard) active(tick uint64, electionTicks int) bool {
	return h != nil && !h.silent && tick-h.last <= uint64(electionTicks)
}

// watchPeers runs each tick on a leader: it notices silence, and times the
// catch-up rounds.
func (r *Replica) watchPeers() {
	if r.termStart == 0 {
		return
	}
	progress := r.progress()
	for _, m := range r.membership.Members {
		h := r.peers.heard[m.ID]
		if h == nil {
			continue
		}
		if !h.active(r.tick, r.cfg.ElectionTicks) {
			h.fallSilent(r.peers.lagOf(m.ID), r.tick)
			continue
		}
		match, l := progress[m.ID].Match, r.peers.lagOf(m.ID)
		if h.round(r.tick, r.cfg.ElectionTicks, match, r.last) {
			l.rounds++
		}
		l.measure(measure{r.tick, match, r.last})
	}
}

// watchLeader runs each tick on who follows. Voters stop following a leader that
// is silent when they campaign; a learner never does, and raft would name to it
// a leader that is long gone, to which its commands and questions then went.
func (r *Replica) watchLeader() {
	if r.termStart == 0 && r.basic.Lead != raft.None && r.tick-r.leaderAt > uint64(2*r.cfg.ElectionTicks) {
		_ = r.raft.ForgetLeader() // never fails for who follows
	}
}

// fallSilent notes that the peer is not heard any more.
func (h *heard) fallSilent(l *lag, tick uint64) {
	if !h.silent {
		h.silent = true
		l.falls, l.fell, l.n = l.falls+1, tick, 0
	}
}

// round says whether a round has ended.
func (h *heard) round(tick uint64, electionTicks int, match, last uint64) (done bool) {
	switch {
	case h.target == 0:
		h.target, h.began = last, tick
	case match >= h.target:
		h.caughtUp = tick-h.began < uint64(electionTicks)
		h.target, h.began = last, tick
		return true
	case tick-h.began >= uint64(electionTicks):
		h.caughtUp = false
	}
	return false
}

func (r *Replica) progress() map[cluster.NodeID]tracker.Progress {
	out := make(map[cluster.NodeID]tracker.Progress, len(r.membership.Members))
	r.raft.WithProgress(func(id uint64, _ raft.ProgressType, pr tracker.Progress) {
		out[cluster.NodeID(id)] = pr
	})
	return out
}

// seen is what the roster's planner goes by.
func (r *Replica) seen() roster.Seen {
	s := roster.Seen{
		Leader: r.cfg.Self.ID, Joint: r.joint(), LastIndex: r.last, Paused: r.membership.Policy.Paused,
		Pending: r.changes.inflight != nil || len(r.changes.queue) > 0,
	}
	for _, t := range r.membership.Removed {
		s.Removed = append(s.Removed, t.ID)
	}
	progress := r.progress()
	for _, m := range r.membership.Members {
		pr, h := progress[m.ID], r.peers.heard[m.ID]
		ms := roster.MemberSeen{Member: m, Match: pr.Match, Snapshotting: pr.State == tracker.StateSnapshot}
		switch {
		case m.ID == r.cfg.Self.ID:
			ms.Active, ms.CaughtUp, ms.ActiveTicks = true, true, int(r.tick)
		case h.active(r.tick, r.cfg.ElectionTicks):
			ms.Active, ms.CaughtUp, ms.ActiveTicks = true, h.caughtUp, int(r.tick-h.since)
			ms.Stopping = h.stopping > 0 && r.tick-h.stopping < patience*uint64(r.cfg.ElectionTicks)
		default:
			ms.SilentTicks, ms.Unseen = r.peers.silence(m.ID, r.tick)
		}
		s.Members = append(s.Members, ms)
	}
	return s
}

// aims is the cluster's policy, and for what that leaves unsaid the one that this
// member was configured with.
func (r *Replica) aims() cluster.Policy { return r.membership.Policy.Or(r.cfg.Policy) }

// policy is what the roster aims at.
func (r *Replica) policy() roster.Policy { return roster.PolicyOf(r.aims(), r.cfg.Tick) }

// Foresee is what the roster would do if something were so; see
// [roster.Foresee]. An error says what can't be understood, or that this member
// doesn't lead: only a leader sees how the others are.
func (r *Replica) Foresee(suppose string) (event.Forecast, error) {
	if r.termStart == 0 || r.applied < r.termStart {
		return event.Forecast{}, ErrNotLeader
	}
	return roster.Foresee(r.seen(), r.aims(), r.cfg.Tick, suppose)
}

// ErrNotLeader: this member does not lead, or not surely yet.
var ErrNotLeader = errors.New("this member does not lead")

// plan asks the roster what to do next, and does it.
func (r *Replica) plan() {
	if r.termStart == 0 || r.applied < r.termStart {
		return
	}
	seen := r.seen()
	plan, why := roster.Plan(seen, r.policy())
	r.peers.why = why
	if seen.Joint && r.applied == r.last {
		r.leaveJoint()
	}
	if seen.Pending || seen.Joint {
		return
	}
	switch {
	case plan.Lead != 0:
		if r.tick-r.peers.offered > uint64(4*r.cfg.ElectionTicks) { // not again and again
			r.handOver(plan.Lead)
		}
	case !plan.Empty():
		r.changes.queue = append(r.changes.queue, change{c: r.planned(plan, "roster")})
	}
}

// announce asks for this member's own line in the membership to be corrected,
// when it came back with another address, name or zone.
func (r *Replica) announce() {
	have, ok := r.membership.Member(r.cfg.Self.ID)
	if len(r.membership.Members) == 0 {
		have, ok = r.cfg.Admitted, r.cfg.Admitted.ID == r.cfg.Self.ID
	}
	want := have.Renewed(r.cfg.Self)
	if !ok || have == want {
		return
	}
	r.out.Ask = append(r.out.Ask, wire.Change{
		Request: fmt.Sprintf("update-%s-%d", want.ID, r.cfg.FirstSeq),
		Steps:   []wire.Step{{Op: wire.OpUpdate, Member: want}},
		Why:     "the member came back with other addresses",
	})
}

// Transfer hands leadership to a voter, or to the one that is furthest when to
// is 0. It says why not, or nil; whether it works shows in the leader that follows.
func (r *Replica) Transfer(to cluster.NodeID) *event.Reason {
	if r.termStart == 0 {
		return &event.Reason{Code: "not_leader", Text: "this member does not lead", WayOut: "ask the leader"}
	}
	var best roster.MemberSeen
	for _, m := range r.seen().Members {
		if m.Member.Role != cluster.Voter || m.Member.ID == r.cfg.Self.ID || !m.Active {
			continue
		}
		if m.Member.ID == to || (to == 0 && (best.Member.ID == 0 || m.Match > best.Match)) {
			best = m
		}
	}
	switch {
	case to == r.cfg.Self.ID:
		return nil
	case best.Member.ID == 0 && to == 0:
		return &event.Reason{Code: "no_candidate", Text: "no other voter is active", WayOut: "start another voter"}
	case best.Member.ID == 0:
		return &event.Reason{Code: "no_candidate", Text: fmt.Sprintf("%s is no active voter", to), Peer: to, WayOut: "name a voter that answers"}
	}
	r.handOver(best.Member.ID)
	return nil
}

func (r *Replica) handOver(to cluster.NodeID) {
	r.peers.offered = r.tick
	r.raft.TransferLeader(uint64(to))
}

// handingOver says whether leadership is on its way to another. Raft gives up
// after an election timeout.
func (r *Replica) handingOver() bool {
	return r.peers.offered > 0 && r.tick-r.peers.offered <= uint64(r.cfg.ElectionTicks) &&
		r.raft.BasicStatus().LeadTransferee != raft.None
}
