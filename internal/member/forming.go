package member

import (
	"errors"

	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/wire"
)

// driveForming carries out the former's effects. What it saves is durable
// before anything leaves.
func (m *Member) driveForming() {
	if m.former == nil {
		return
	}
	eff := m.former.Effects()
	if eff.Save != nil {
		next := m.state
		next.Durable = *eff.Save
		if eff.Outcome != nil && eff.Outcome.Joined != nil {
			next.Hint = eff.Outcome.Joined.Membership
			next.Generation = next.Hint.Generation
			if !m.inherit(eff.Outcome.Joined.Met) {
				return
			}
		}
		if eff.Outcome != nil && !m.pinDown(next) {
			return
		}
		if !m.save(next) {
			return
		}
		m.publish()
	}
	for _, c := range eff.Calls {
		m.ask(c)
	}
	for _, r := range eff.Replies {
		if reply := m.replies[r.ID]; reply != nil {
			delete(m.replies, r.ID)
			reply(r.Response)
		}
	}
	for _, e := range eff.Events {
		m.body.Emit(e)
	}
	if eff.Outcome != nil {
		m.leaveFormation()
	}
}

// ask puts a question of the former to whoever is at an address.
func (m *Member) ask(c formation.Call) {
	m.call(c.Addr, 0, c.Request, CallPatience, func(resp wire.Response, hello wire.Hello, err error) {
		var refusal *wire.Refusal
		switch {
		case m.failed || m.former == nil:
		case errors.As(err, &refusal):
			m.former.Failed(c.Addr, refusal, err.Error())
		case err != nil:
			m.former.Failed(c.Addr, nil, err.Error())
		default:
			m.former.Answered(c.Addr, hello, resp)
		}
	})
}

// leaveFormation goes on as a member. Nobody waits for the former's answer
// then: it answers in the same effects in which it ends.
func (m *Member) leaveFormation() {
	m.former = nil
	if err := m.becomeMember(); err != nil {
		m.fail(err)
		return
	}
	m.publish()
}

// askFormer puts a peer's question to the former, or answers it as a member.
func (m *Member) askFormer(peer wire.Hello, req wire.Request, reply func(wire.Response)) {
	if m.former == nil {
		reply(formation.Answer(m.state.Durable, m.membership(), req))
		return
	}
	m.token++
	m.replies[m.token] = reply
	m.former.Asked(m.token, peer, req)
}
