package formation

import (
	"fmt"
	"slices"

	"github.com/musterhq/muster/internal/wire"
)

// openFounders picks the founders among those that are there, or says what is
// in the way. Whoever accepted a genesis founds with those with whom it did, or
// with who took their places, and all others wait for that.
func (f *Former) openFounders() ([]founder, []problem) {
	company := f.company()
	if f.accepted != nil {
		return f.sameAgain(company)
	}
	problems, bound := f.disturbances(), holder(company)
	switch {
	case len(problems) > 0:
		return nil, problems
	case bound != nil:
		return nil, []problem{{code: whyHolder, p: bound}}
	case len(f.around(company)) >= 2*f.cfg.Expect:
		return nil, []problem{{code: whyTooMany}}
	case len(company)+1 < f.cfg.Expect:
		return nil, append(f.absent(), problem{code: whyTooFew})
	}
	picked := f.lowest(company)
	switch {
	case picked == nil:
		return nil, f.unseen(company)
	case !slices.ContainsFunc(picked, func(x founder) bool { return sameDisk(x.id, f.cfg.Self) }):
		return nil, []problem{{code: whyOthersFound, p: f.find(picked[0].addr)}}
	}
	return f.distinct(picked)
}

// disturbances are nodes that stand against any new founding: they want another
// one, or nothing has been heard of them yet.
func (f *Former) disturbances() []problem {
	var problems []problem
	for i := range f.peers {
		p := &f.peers[i]
		switch code := f.unfit(p); {
		case p.self:
		case !p.met && p.refusal == nil && p.err == "":
			problems = append(problems, problem{code: whyUnheard, p: p})
		case code == whyExpectDiffers, code == whyPeerPinned:
			problems = append(problems, problem{code: code, p: p})
		}
	}
	return problems
}

// unseen says that too few see each other, unless that may just be news to
// those that were met only now.
func (f *Former) unseen(company []*peer) []problem {
	var problems []problem
	for _, p := range company {
		if p.state < f.cfg.RetryTicks {
			problems = append(problems, problem{code: whyUnheard, p: p})
		}
	}
	if len(problems) == 0 {
		return []problem{{code: whyUnseen}}
	}
	return problems
}

// absent are addresses at which nobody answers that could found.
func (f *Former) absent() []problem {
	var problems []problem
	for i := range f.peers {
		if p := &f.peers[i]; !p.self {
			if code := f.unfit(p); code != "" {
				problems = append(problems, problem{code: code, p: p})
			}
		}
	}
	return problems
}

func (f *Former) itself() founder { return founder{addr: f.cfg.Self.PeerAddr, id: f.cfg.Self} }

// lowest picks as many as are expected that all see each other. It goes from
// the lowest incarnation upwards and takes whom all before see; if that leads
// nowhere, it begins with the next. nil: it finds none.
func (f *Former) lowest(company []*peer) []founder {
	all := []founder{f.itself()}
	for _, p := range company {
		all = append(all, founder{addr: p.addr, id: p.hello.Self})
	}
	slices.SortFunc(all, func(a, b founder) int { return a.id.Incarnation.Compare(b.id.Incarnation) })
	sees := func(a, b founder) bool {
		if sameDisk(a.id, f.cfg.Self) {
			return true // that is what its company is
		}
		return slices.Contains(f.find(a.addr).sees, b.id.Incarnation)
	}
	for len(all) >= f.cfg.Expect {
		var picked []founder
		for _, x := range all {
			if !slices.ContainsFunc(picked, func(y founder) bool { return !sees(x, y) || !sees(y, x) }) {
				picked = append(picked, x)
			}
			if len(picked) == f.cfg.Expect {
				return picked
			}
		}
		all = all[1:]
	}
	return nil
}

// sameAgain lists those with whom this node accepted a genesis, each the same
// disk or the one that answers at its address now.
func (f *Former) sameAgain(company []*peer) ([]founder, []problem) {
	var founders []founder
	var problems []problem
	for _, old := range f.accepted.Founders {
		if sameDisk(old, f.cfg.Self) {
			founders = append(founders, f.itself())
			continue
		}
		p := f.find(old.PeerAddr)
		if k := slices.IndexFunc(company, func(p *peer) bool { return sameDisk(p.hello.Self, old) }); k >= 0 {
			p = company[k]
		}
		if p == nil || p.self || f.unfit(p) != "" {
			problems = append(problems, problem{code: whyCoFounder, p: p, id: old})
			continue
		}
		founders = append(founders, founder{addr: p.addr, id: p.hello.Self})
	}
	if len(problems) > 0 {
		return nil, problems
	}
	slices.SortFunc(founders, func(a, b founder) int { return a.id.Incarnation.Compare(b.id.Incarnation) })
	return f.distinct(founders)
}

// distinct refuses founders of which two have the same name or address.
func (f *Former) distinct(founders []founder) ([]founder, []problem) {
	for i, x := range founders {
		if code, with := clash(x, founders[:i]); code != "" {
			return nil, []problem{{code: code, p: f.at(x.addr), with: f.at(with)}}
		}
	}
	return founders, nil
}

// at is the peer at an address, also where that is this node's own and not asked.
func (f *Former) at(addr string) *peer {
	if p := f.find(addr); p != nil {
		return p
	}
	return &peer{addr: addr, self: true}
}

// mayPromiseOpen checks who is to found. Each founder must see each other one
// itself, and none may see that another group could found as well: then both
// might. What was accepted by one of them goes before.
func (f *Former) mayPromiseOpen(founders []wire.Identity) (code, why string) {
	if len(founders) != f.cfg.Expect {
		return codeExpect, f.founding()
	}
	company := f.company()
	held := f.d.Stage == wire.Accepted
	for _, x := range founders {
		if sameDisk(x, f.cfg.Self) {
			continue
		}
		k := slices.IndexFunc(company, func(p *peer) bool { return sameDisk(p.hello.Self, x) })
		if k < 0 {
			return codeUnseen, fmt.Sprintf("this node doesn't see %s at %s", x.Name, x.PeerAddr)
		}
		held = held || company[k].hello.Stage == wire.Accepted
	}
	if held {
		return "", ""
	}
	if k := slices.IndexFunc(f.peers, func(p peer) bool { return f.unfit(&p) == whyExpectDiffers }); k >= 0 {
		return codeExpect, f.explainExpect(problem{code: whyExpectDiffers, p: &f.peers[k]}).Text
	}
	if k := slices.IndexFunc(f.peers, func(p peer) bool { return f.unfit(&p) == whyPeerPinned }); k >= 0 {
		return codePinned, f.explainPinned(&f.peers[k]).Text
	}
	if p := holder(company); p != nil {
		return codeHeld, fmt.Sprintf("%s accepted to found with others", p.who())
	}
	if n := len(f.around(company)); n >= 2*f.cfg.Expect {
		return codeTooMany, fmt.Sprintf("%d nodes are there to found a cluster of %d: two could come of it", n, f.cfg.Expect)
	}
	return "", ""
}

func sameDisk(a, b wire.Identity) bool { return a.Incarnation == b.Incarnation }
