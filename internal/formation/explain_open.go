package formation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// explainOpen is about founders that are those that meet. The Code is empty for
// what can be in the way of others as well.
func (f *Former) explainOpen(x problem) event.Reason {
	company := f.company()
	n := f.cfg.Expect
	switch x.code {
	case whyTooMany:
		around := len(f.around(company))
		return event.Reason{Code: x.code,
			Text: fmt.Sprintf("%d nodes are there to found a cluster of %d (%s): two clusters could come of it, so none of them founds",
				around, n, f.present(company, around)),
			WayOut: fmt.Sprintf("stop some until fewer than %d are left, and start them again when these have founded; or start all with --expect %d or more", 2*n, around/2+1)}
	case whyTooFew:
		return event.Reason{Code: x.code,
			Text:   fmt.Sprintf("%d of the %d nodes that are to found a cluster are there: %s", len(company)+1, n, f.present(company, 0)),
			WayOut: fmt.Sprintf("start more with --expect %d, and see that each is told the address of one of the others", n)}
	case whyUnseen:
		return event.Reason{Code: x.code,
			Text:   fmt.Sprintf("no %d of those that are there see each other: %s", n, f.blindSpots(company)),
			WayOut: "mend the network between them; each must reach each other one at its peer address"}
	case whyUnheard:
		text := "%s was met just now, and this node waits to hear whom it sees"
		if !x.p.met {
			text = "%s was asked who it is, and nothing has come of it yet"
		}
		return x.p.reason(x.code, fmt.Sprintf(text, x.p.who()), "nothing to do: it says so within seconds, or is given up")
	case whyExpectDiffers:
		return f.explainExpect(x)
	case whyJoins:
		return x.p.reason(x.code,
			fmt.Sprintf("%s was told to join a cluster, or to found one alone, and doesn't found with this node", x.p.who()),
			"start another node in its place, or that one with --expect")
	case whyOthersFound:
		picked := f.lowest(company)
		return x.p.reason(x.code,
			fmt.Sprintf("%s are to found the cluster; this node joins it then", names(identities(picked))),
			"nothing to do: they found it by themselves; if not, `muster why` there tells")
	case whyHolder:
		return x.p.reason(x.code,
			fmt.Sprintf("%s accepted to found a cluster with others, and this node waits for what comes of it", x.p.who()),
			"see `muster why` there: it says who is missed, and the way out if those are gone for good")
	case whyCoFounder:
		return f.explainCoFounder(x)
	}
	return event.Reason{}
}

// explainExpect is about a node that wants to found otherwise.
func (f *Former) explainExpect(x problem) event.Reason {
	text := fmt.Sprintf("%s expects %d founders, this node %d", x.p.who(), x.p.hello.Expect, f.cfg.Expect)
	if x.p.hello.Expect == 0 {
		text = fmt.Sprintf("%s founds with its seeds %s, this node with whom it meets", x.p.who(), list(x.p.hello.Seeds))
	}
	return x.p.reason(x.code, text, "give all of them the same --expect, or none and the same seeds")
}

// explainCoFounder is about one with whom this node accepted a genesis.
func (f *Former) explainCoFounder(x problem) event.Reason {
	state := "doesn't answer"
	if x.p != nil && f.unfit(x.p) != whyUnreachable {
		state = "can't found with it any more"
	}
	return event.Reason{Code: x.code, Addr: x.id.PeerAddr, Peer: x.id.NodeID,
		Text: fmt.Sprintf("this node accepted to found a cluster with %s, and %s (incarnation %s) at %s %s",
			f.coFounders(), x.id.Name, x.id.Incarnation, x.id.PeerAddr, state),
		WayOut: "start it again with its data, or another node at its address; " + f.giveUp([]string{x.id.Name})}
}

// present names this node and its company; around, if larger, counts more that
// only they see.
func (f *Former) present(company []*peer, around int) string {
	words := []string{"this node"}
	for _, p := range company {
		words = append(words, p.who())
	}
	slices.Sort(words[1:])
	if unseen := around - len(words); unseen > 0 {
		words = append(words, fmt.Sprintf("and %d that only these see", unseen))
	}
	return list(words)
}

// blindSpots lists who doesn't see whom.
func (f *Former) blindSpots(company []*peer) string {
	var parts []string
	blind := func(p *peer, name string, id wire.Identity) {
		if !slices.Contains(p.sees, id.Incarnation) {
			parts = append(parts, fmt.Sprintf("%s doesn't see %s", p.who(), name))
		}
	}
	for _, p := range company {
		blind(p, "this node", f.cfg.Self)
		for _, o := range company {
			if o != p {
				blind(p, o.hello.Self.Name, o.hello.Self)
			}
		}
	}
	return strings.Join(parts, ", ")
}
