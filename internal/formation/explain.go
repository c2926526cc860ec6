package formation

import (
	"fmt"

	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// explain puts into words what keeps a node from founding with others.
func (f *Former) explain(x problem) event.Reason {
	if r := f.explainOpen(x); r.Code != "" {
		return r
	}
	switch x.code {
	case whyNotASeed:
		return event.Reason{Code: x.code,
			Text:   fmt.Sprintf("this node is none of the seeds %s: it waits until they have founded a cluster, and joins it", list(f.cfg.Seeds)),
			WayOut: "to have it among the founders, put its address into the seeds of every node"}
	case whyOneSeed:
		return event.Reason{Code: x.code,
			Text:   fmt.Sprintf("the seeds are %s: a node with seeds doesn't found alone", list(f.cfg.Seeds)),
			WayOut: "list the addresses of all founders, or say --single to found alone"}
	case whyPeerPinned:
		return f.explainPinned(x.p)
	case whySameNode, whySameName, whySameAddress:
		return f.explainClash(x)
	}
	return f.explainSeed(x.code, x.p)
}

// explainSeed is about one address at which no founder answers.
func (f *Former) explainSeed(code string, p *peer) event.Reason {
	if p.refusal != nil && p.refusal.Code.TLS() {
		return p.reason(code, fmt.Sprintf("no connection to %s: %s", p.who(), p.refusal.Reason), p.refusal.Code.WayOut(""))
	}
	switch code {
	case whyUnreachable:
		return p.reason(code,
			fmt.Sprintf("%s has not answered %s: %s", p.who(), f.howLong(p), orElse(p.err, "no report of the first attempt")),
			"start that node, or correct the seeds on every node")
	case whyVersion:
		text := fmt.Sprintf("%s speaks another version of the protocol", p.who())
		if p.refusal == nil {
			text = fmt.Sprintf("%s speaks protocol version %d, this node %d", p.who(), p.hello.Protocol, wire.Protocol)
		}
		return p.reason(code, text, "run versions of muster that speak the same protocol")
	case whyNameDiffers:
		text := fmt.Sprintf("%s belongs to a cluster of another name than %q", p.who(), f.cfg.Cluster)
		if p.refusal == nil {
			text = fmt.Sprintf("%s belongs to a cluster named %q, this node to %q", p.who(), p.hello.Cluster, f.cfg.Cluster)
		}
		return p.reason(code, text, "give both the same --cluster, or take the address out of the seeds")
	case whyRemoved:
		return p.reason(code,
			fmt.Sprintf("%s was removed from a cluster and can't found another", p.who()),
			"start that node with an empty data directory")
	case whySeedsDiffer:
		text, out := fmt.Sprintf("%s has the seeds %s, this node %s", p.who(), list(p.hello.Seeds), list(f.cfg.Seeds)), "give every founder the same seeds; their order doesn't matter"
		switch {
		case p.hello.Expect > 0:
			out = "give all of them the same --expect, or none and the same seeds"
			text = fmt.Sprintf("%s founds with whom it meets and expects %d founders, this node founds with its seeds %s", p.who(), p.hello.Expect, list(f.cfg.Seeds))
		case len(p.hello.Seeds) == 0:
			text = fmt.Sprintf("%s was started without seeds, to join or to be single, and can't found with this node", p.who())
		}
		return p.reason(code, text, out)
	}
	why, out := "no reason given", "see `muster why` there"
	if p.refusal != nil {
		why, out = p.refusal.Reason, p.refusal.Code.WayOut(f.cfg.Self.Name)
	}
	return p.reason(code, fmt.Sprintf("%s refuses this node: %s", p.who(), why), out)
}

// howLong is for how long a peer has been silent.
func (f *Former) howLong(p *peer) string {
	if d := f.span(p.state); p.met || d != "0s" {
		return "for " + d
	}
	return "yet"
}

// explainClash is about two founders that can't found together.
func (f *Former) explainClash(x problem) event.Reason {
	a, b := x.with, x.p
	switch x.code {
	case whySameNode:
		return b.reason(x.code,
			fmt.Sprintf("%s and %s are the same node", a.addr, b.addr),
			"list every founder once; if they are two nodes, one has a copy of the other's data directory: empty it")
	case whySameName:
		return b.reason(x.code,
			fmt.Sprintf("the nodes at %s and %s have the same name", a.addr, b.addr),
			"give one of them another --name")
	}
	return b.reason(x.code,
		fmt.Sprintf("the nodes at %s and %s give the same peer address", a.addr, b.addr),
		"give each a --peer-advertise at which the others reach it")
}
