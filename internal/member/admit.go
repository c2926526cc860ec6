package member

import (
	"errors"
	"fmt"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// Control answers one request of a peer that was let in. reply is called once,
// or never when the node ends.
func (m *Member) Control(peer wire.Hello, req wire.Request, reply func(wire.Response)) {
	code, why := m.view.judgeRun(peer)
	switch {
	case m.failed:
		reply(wire.Response{Nack: &wire.Nack{Code: "stopped", Reason: "the node is stopping"}})
	case code != "" && req.Probe == nil:
		reply(wire.Response{Nack: &wire.Nack{Code: string(code), Reason: why}})
	case req.Join != nil:
		m.admit(peer, *req.Join, func(r wire.JoinReply) { reply(wire.Response{Join: &r}) })
	case req.Change != nil:
		m.changeFor(peer, *req.Change, func(r wire.ChangeReply) { reply(wire.Response{Change: &r}) })
	default:
		m.askFormer(peer, req, reply)
	}
}

// admit answers a join: only from the leader's applied state.
func (m *Member) admit(peer wire.Hello, j wire.Join, reply func(wire.JoinReply)) {
	leader := m.view.Status.Leader
	pending := func(code, reason string) {
		reply(wire.JoinReply{Status: wire.JoinPending, Code: code, Reason: reason, Leader: leader})
	}
	refused := func(code, reason string) {
		reply(wire.JoinReply{Status: wire.JoinRefused, Code: code, Reason: reason})
	}
	switch {
	case !m.InCluster():
		pending("not_a_member", "the node that was asked is in no cluster yet")
	case j.Cluster != m.cfg.Cluster:
		refused("cluster_name", fmt.Sprintf("this is cluster %q, not %q", m.cfg.Cluster, j.Cluster))
	case !j.Forwarded && j.Self.Incarnation != peer.Self.Incarnation:
		refused("identity", "the request names another node than the one that sent it")
	case j.Self.NodeID != j.Self.Incarnation.NodeID():
		refused("identity", "the node ID is not that of the incarnation")
	case leader == 0:
		pending("no_leader", "the cluster has no leader at the moment")
	case leader == m.cfg.Self.NodeID:
		m.admitAsLeader(j, reply)
	case j.Forwarded:
		pending("leadership_moved", "the node that was asked does not lead any more")
	default:
		j.Forwarded = true
		m.askLeader(wire.Request{Join: &j}, func(resp wire.Response, err error) {
			if err != nil || resp.Join == nil {
				pending("leader_unreachable", fmt.Sprintf("the leader %s did not answer: %v", m.view.Name(leader), err))
				return
			}
			reply(*resp.Join)
		})
	}
}

func (m *Member) admitAsLeader(j wire.Join, reply func(wire.JoinReply)) {
	if m.view.isMember(j.Self.NodeID) {
		m.addLearner(j, reply)
		return
	}
	if wait := m.rep.Turn(j.Self.Member(cluster.Learner)); wait != nil {
		reply(wire.JoinReply{Status: wire.JoinPending, Code: wait.Code, Reason: wait.Reason, Leader: m.cfg.Self.NodeID})
		return
	}
	m.dialBack(j.Self, func(why string) {
		if why != "" {
			m.rep.LoseTurn(j.Self.NodeID)
			reply(wire.JoinReply{Status: wire.JoinPending, Code: "unreachable", Reason: why, Leader: m.cfg.Self.NodeID})
			return
		}
		m.addLearner(j, reply)
	})
}

func (m *Member) addLearner(j wire.Join, reply func(wire.JoinReply)) {
	_, term := m.rep.Leader()
	m.change(wire.Change{
		// A later term may try again what an earlier one turned down.
		Request: fmt.Sprintf("join-%s-%d", j.Self.Incarnation, term),
		Steps:   []wire.Step{{Op: wire.OpAdd, Member: j.Self.Member(cluster.Learner)}},
		Why:     "asked to join",
	}, func(r wire.ChangeReply) {
		out := wire.JoinReply{Code: r.Code, Reason: r.Reason, Index: r.Index, Leader: r.Leader}
		switch r.Status {
		case wire.ChangeRefused:
			out.Status = wire.JoinRefused
		case wire.ChangeApplied:
			all := m.membership()
			out.Status, out.Membership, out.Met = wire.JoinDone, &all, m.met.known.runs()
		default:
			out.Status = wire.JoinPending
		}
		reply(out)
	})
}

// dialBack makes sure that the advertised address reaches the very node that
// gave it; else done is told the reason why not.
func (m *Member) dialBack(id wire.Identity, done func(why string)) {
	m.call(id.PeerAddr, 0, wire.Request{Probe: &wire.Probe{}}, CallPatience/2, func(_ wire.Response, hello wire.Hello, err error) {
		switch {
		case err != nil:
			done(fmt.Sprintf("the leader can't reach it at %s, the address that it advertises: %v", id.PeerAddr, err))
		case hello.Self.Incarnation != id.Incarnation:
			done(fmt.Sprintf("the address that it advertises, %s, leads to another node (%s)", id.PeerAddr, hello.Self.Name))
		default:
			done("")
		}
	})
}

var errNoAddress = errors.New("its address is not known yet")

// askLeader passes a request on to the member that leads, as far as is known.
func (m *Member) askLeader(req wire.Request, done func(wire.Response, error)) {
	leader, ok := m.view.Membership.Member(m.view.Status.Leader)
	if !ok {
		done(wire.Response{}, errNoAddress)
		return
	}
	m.call(m.view.Addr(leader), leader.ID, req, CallPatience, func(resp wire.Response, _ wire.Hello, err error) { done(resp, err) })
}

// call is the body's Call. A refusal that ends this node does so first.
func (m *Member) call(addr string, to cluster.NodeID, req wire.Request, patience time.Duration, done func(wire.Response, wire.Hello, error)) {
	m.body.Call(addr, to, req, patience, func(resp wire.Response, hello wire.Hello, err error) {
		if r, ok := errors.AsType[*wire.Refusal](err); ok {
			m.Refused(r)
		}
		done(resp, hello, err)
	})
}
