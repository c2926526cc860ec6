package formation

import (
	"slices"

	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// Codes of what keeps a node from a cluster; stable, see [Former.Why].
const (
	whyUnreachable   = "seed_unreachable"
	whyRefuses       = "seed_refuses"
	whyRemoved       = "seed_removed"
	whySeedsDiffer   = "seeds_differ"
	whyNameDiffers   = "cluster_name_differs"
	whyVersion       = "version_differs"
	whySameNode      = "same_node_twice"
	whySameName      = "same_name"
	whySameAddress   = "same_address"
	whyNotASeed      = "not_a_seed"
	whyOneSeed       = "one_seed"
	whyCoordinator   = "waiting_for_coordinator"
	whyPromises      = "waiting_for_promises"
	whyAccepts       = "waiting_for_acceptance"
	whyNo            = "founder_refuses"
	whyBlocked       = "accepted_genesis_blocks"
	whyOwnGenesis    = "conflict_accepted_genesis"
	whySingleGenesis = "single_after_accept"
	whyTwoClusters   = "conflict_two_clusters"
	whySilent        = "cluster_silent"
	whyRolledBack    = "rolled_back"
	whyUnreadable    = "state_unreadable"
	whyGaveUp        = "abandoned_genesis_exists"
	whyPinned        = "pinned"
	whyPinOther      = "pin_names_another_cluster"
	whyPeerPinned    = "seed_pinned"
	whyPending       = "join_pending"
	whyRateLimited   = "rate_limited" // a wire.JoinReply's code as well
	whyRefused       = "join_refused"
	whyNoCluster     = "no_cluster_found"

	// of Dynamic alone
	whyExpectDiffers = codeExpect
	whyTooMany       = codeTooMany
	whyTooFew        = "too_few_eligible"
	whyUnheard       = "waiting_for_first_answer"
	whyUnseen        = "not_mutually_visible"
	whyOthersFound   = "others_found"
	whyHolder        = "waiting_for_holder"
	whyCoFounder     = "co_founder_missing"
	whyJoins         = "joins_only"
)

// problem is one thing that keeps a node from founding with others.
type problem struct {
	code string
	p    *peer         // where
	with *peer         // whySameNode, whySameName, whySameAddress: the other one
	id   wire.Identity // whyCoFounder: who is missed
}

// founders lists who would found now, sorted by incarnation, or what is in the
// way.
func (f *Former) founders() ([]founder, []problem) {
	if f.cfg.Mode == Dynamic {
		return f.openFounders()
	}
	return f.seedFounders()
}

// seedFounders are those at the seed addresses, one for each.
func (f *Former) seedFounders() ([]founder, []problem) {
	var list []founder
	var problems []problem
	met, self := 0, false
	for i := range f.peers {
		p := &f.peers[i]
		if !p.seed {
			continue
		}
		if code := f.unfit(p); code != "" {
			problems = append(problems, problem{code: code, p: p})
			if p.live {
				met++
			}
			continue
		}
		met, self = met+1, self || p.self
		x := founder{addr: p.addr, id: p.hello.Self}
		if p.self {
			x.id = f.cfg.Self
		}
		if code, with := clash(x, list); code != "" {
			problems = append(problems, problem{code: code, p: p, with: f.find(with)})
		}
		list = append(list, x)
	}
	switch {
	case met == len(f.cfg.Seeds) && !self:
		problems = append(problems, problem{code: whyNotASeed})
	case len(f.cfg.Seeds) < 2:
		problems = append(problems, problem{code: whyOneSeed})
	}
	if len(problems) > 0 {
		return nil, problems
	}
	slices.SortFunc(list, func(a, b founder) int { return a.id.Incarnation.Compare(b.id.Incarnation) })
	return list, nil
}

// unfit says why the node at a seed address can't be a founder with this one;
// "" when it can.
func (f *Former) unfit(p *peer) string {
	switch {
	case p.self:
		return ""
	case p.refusal != nil:
		switch p.refusal.Code {
		case wire.RefusedProtocol:
			return whyVersion
		case wire.RefusedCluster:
			return whyNameDiffers
		}
		if p.refusal.Code.TLS() {
			return string(p.refusal.Code)
		}
		return whyRefuses
	case !p.live:
		return whyUnreachable
	case p.hello.Protocol != wire.Protocol:
		return whyVersion
	case p.hello.Cluster != f.cfg.Cluster:
		return whyNameDiffers
	case p.hello.Stage == wire.Removed:
		return whyRemoved
	case !p.hello.Pin.IsZero():
		return whyPeerPinned
	case f.cfg.Mode == Dynamic:
		return f.unfitOpen(p)
	case !sameSet(f.cfg.Seeds, p.hello.Seeds):
		return whySeedsDiffer
	}
	return ""
}

// fixed are the seeds if they are the founders.
func (f *Former) fixed() []string {
	if f.cfg.Mode == Dynamic {
		return nil
	}
	return f.cfg.Seeds
}

// clash finds a founder at another address that can't found together with x.
func clash(x founder, others []founder) (code, with string) {
	for _, o := range others {
		switch {
		case o.id.Incarnation == x.id.Incarnation, o.id.NodeID == x.id.NodeID:
			return whySameNode, o.addr
		case o.id.PeerAddr == x.id.PeerAddr && x.id.PeerAddr != "":
			return whySameAddress, o.addr
		case o.id.Name == x.id.Name && x.id.Name != "":
			return whySameName, o.addr
		}
	}
	return "", ""
}

// reason makes a Reason about the node at an address.
func (p *peer) reason(code, text, wayOut string) event.Reason {
	r := event.Reason{Code: code, Text: text, WayOut: wayOut, Addr: p.addr}
	if p.met {
		r.Peer = p.hello.Self.NodeID
	}
	return r
}
