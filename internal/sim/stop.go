package sim

import (
	"fmt"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// stop ends a member as it is when it is told to stop: it hands leadership
// over, has a learner vote in its place, and waits for neither for long.
func (w *World) stop(f Fault) {
	if p := w.node(f.A).member(); p != nil {
		w.say("operator: %s is told to stop", p.node.host)
		s := &stop{w: w, p: p, until: w.now + 4*election}
		w.stops = append(w.stops, s)
		if p.leads() {
			s.steps = p.m.StandDown()
			p.m.HandOver(0)
			p.m.Drive()
		}
		s.goOn()
	}
}

// stop is a member on its way out.
type stop struct {
	w     *World
	p     *process
	steps []wire.Step // by which another votes in its place, picked while it led
	until instant     // when it loses patience
	over  bool
}

// open says that it may still ask for another to vote in its place.
func (s *stop) open() bool { return !s.over && s.p.alive() }

// goOn waits until another leads, and then for what becomes of the vote.
func (s *stop) goOn() {
	v := &s.p.view.Status
	switch waits := s.p.leads() || v.Leader == 0; {
	case waits && s.w.now < s.until:
		s.w.schedule(heartbeatTime, "stopping", s.p, s.goOn)
	case waits || !s.mayStandDown():
		s.end("")
	default:
		s.standDown()
	}
}

// mayStandDown says that it is a voter, and that there is somebody who is none.
func (s *stop) mayStandDown() bool {
	voter, spare := false, false
	for _, m := range s.p.view.Membership.Members {
		voter = voter || m.ID == s.p.self.NodeID && m.Role == cluster.Voter
		spare = spare || m.Role == cluster.Learner
	}
	return voter && spare
}

func (s *stop) standDown() {
	p := s.p
	if len(s.steps) == 0 {
		s.steps = []wire.Step{{Op: wire.OpStandDown, Member: cluster.Member{ID: p.self.NodeID}}}
	}
	c := wire.Change{Request: fmt.Sprintf("stop-%s-%d", p.self.NodeID, p.boots), Steps: s.steps, Why: "it stops"}
	p.m.Change(c, func(r wire.ChangeReply) {
		if r.Status == wire.ChangeApplied {
			s.w.sometimes(stoodDown)
		}
		s.end(fmt.Sprintf(": %s %s", r.Status, r.Reason))
	})
	p.m.Drive()
	p.input("stopping", 2*election, func() { s.end(": no answer in time") })
}

// end is the process's, when what goes on has been gone through with. Who
// stopped it wants it back once it heals.
func (s *stop) end(how string) {
	if s.over {
		return
	}
	s.over = true
	s.w.schedule(0, "stopped", s.p, func() {
		if !s.w.healing {
			s.w.say("%s stops%s", s.p.node.host, how)
			s.p.node.kill()
		}
	})
}

func (p *process) leads() bool { return p.view.Status.State == "leader" }
