package formation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// Why says what this node waits for before it is in a cluster, sorted by code
// and address; nothing once it is. Codes are stable, see the constants in this
// package; texts hold durations and change with time.
func (f *Former) Why() []event.Reason {
	if f.done {
		return nil
	}
	reasons := f.why()
	slices.SortStableFunc(reasons, func(a, b event.Reason) int {
		if c := strings.Compare(a.Code, b.Code); c != 0 {
			return c
		}
		return strings.Compare(a.Addr, b.Addr)
	})
	return reasons
}

func (f *Former) why() []event.Reason {
	_, joins := f.target()
	switch {
	case f.unreadable():
		return []event.Reason{{Code: whyUnreadable,
			Text:   "this node accepted a genesis that it can't read",
			WayOut: "start the version of muster that wrote this data directory"}}
	case f.rolledBack() && f.gaveUp() != nil:
		p := f.gaveUp()
		return []event.Reason{p.reason(whyGaveUp,
			fmt.Sprintf("an operator has given up here the genesis of cluster %s, but %s is in it, and it counts this node among its voters", p.hello.ClusterID, p.who()),
			"start this node with an empty data directory, so that it joins as a new node, and remove the old one from the cluster")}
	case f.rolledBack():
		return []event.Reason{{Code: whyRolledBack,
			Text:   "a cluster has this node as a voter, but this data directory doesn't know of it: it is an old copy",
			WayOut: "start it with an empty data directory, so that it joins as a new node, and remove the old one from the cluster"}}
	case joins:
		return []event.Reason{f.whyJoining()}
	case f.pinned():
		return f.whyPinned()
	case len(f.clusters()) > 1:
		return []event.Reason{f.whyTwoClusters()}
	case f.seesCluster():
		return f.whySeen()
	case f.cfg.Mode == Single:
		return []event.Reason{{Code: whySingleGenesis,
			Text:   fmt.Sprintf("this node accepted to found a cluster with %s, and doesn't found another alone", f.coFounders()),
			WayOut: "start it with the seeds that it had, or with an empty data directory"}}
	case f.cfg.Mode == JoinOnly:
		return f.whyNobody()
	}
	return f.whyNotFounded()
}

// whyJoining: a cluster was found, and this node is not yet in it.
func (f *Former) whyJoining() event.Reason {
	id, _ := f.target()
	r := event.Reason{Code: whyPending, Addr: f.joinAt, WayOut: "a leader of that cluster has to take the request; see `muster why` on one of its members"}
	switch {
	case f.joining == nil || f.joinID != id:
		r.Text = fmt.Sprintf("found cluster %s, asks to join it", id)
	case f.joining.Status == wire.JoinRefused:
		r.Code, r.Text = whyRefused, fmt.Sprintf("cluster %s refuses this node: %s", id, f.joining.Reason)
		r.WayOut = "end what the refusal says; this node keeps asking"
	default:
		r.Text = fmt.Sprintf("asked cluster %s to join it: %s", id, orElse(f.joining.Reason, "not decided yet"))
		switch f.joining.Code {
		case whyRateLimited:
			r.Code, r.WayOut = whyRateLimited, "nothing to do: it is let in when its turn comes"
		case "unreachable":
			r.WayOut = "see that the leader reaches the address, or give another one with --peer-advertise"
		}
	}
	return r
}

// joinAnswer is what was last said to this node's request to join, without what
// changes while it waits.
func (f *Former) joinAnswer() string {
	switch j := f.joining; {
	case j == nil:
		return ""
	case j.Status == wire.JoinRefused:
		return string(j.Status) + " " + j.Reason
	default:
		return string(j.Status) + " " + j.Code
	}
}

func (f *Former) whyTwoClusters() event.Reason {
	var parts []string
	for _, id := range f.clusters() {
		var at []string
		for i := range f.peers {
			if p := &f.peers[i]; p.live && p.in(f.cfg.Cluster) && p.hello.ClusterID == id {
				at = append(at, p.who())
			}
		}
		slices.Sort(at)
		parts = append(parts, fmt.Sprintf("%s in %s", strings.Join(at, ", "), id))
	}
	slices.Sort(parts)
	return event.Reason{Code: whyTwoClusters,
		Text:   fmt.Sprintf("different clusters are named %q: %s; this node joins neither", f.cfg.Cluster, strings.Join(parts, ", and ")),
		WayOut: "stop the one that is wrong here, give it another name, or take its addresses out of the seeds"}
}

// whySeen: a cluster was seen, but it can't be joined.
func (f *Former) whySeen() []event.Reason {
	var reasons []event.Reason
	for i := range f.peers {
		p := &f.peers[i]
		switch {
		case !p.in(f.cfg.Cluster):
		case !p.live:
			reasons = append(reasons, p.reason(whySilent,
				fmt.Sprintf("%s is in cluster %s and has been silent for %s", p.who(), p.hello.ClusterID, f.span(p.state)),
				"start that node again; or restart this one, if that cluster is gone for good"))
		default:
			reasons = append(reasons, p.reason(whyOwnGenesis,
				fmt.Sprintf("%s is in cluster %s, but this node accepted to found %s with %s, which may exist",
					p.who(), p.hello.ClusterID, f.acceptedID, f.coFounders()),
				"start one of those nodes with its data; if they are gone for good, `muster abandon-genesis` with their names at this node, or an empty data directory for it"))
		}
	}
	return reasons
}

// whyNobody: told to join, and nobody asked is in a cluster.
func (f *Former) whyNobody() []event.Reason {
	told := f.toldOf()
	r := event.Reason{Code: whyNoCluster,
		Text:   fmt.Sprintf("none of %s is in a cluster named %q, and this node was told to join one", list(told), f.cfg.Cluster),
		WayOut: "start a member of that cluster, or correct the addresses; to found one, start without --join-only"}
	if len(told) == 0 {
		r.Text = fmt.Sprintf("this node was told to join a cluster named %q, and knows no address to ask", f.cfg.Cluster)
		r.WayOut = "start a member of that cluster where this node's discovery finds it, or name its address (--seeds)"
	}
	reasons := []event.Reason{r}
	shut := 0 // that don't say what they are in, as they want nothing of this node
	for i := range f.peers {
		p := &f.peers[i]
		code := f.unfit(p)
		if !p.told() || code == "" || code == whySeedsDiffer {
			continue
		}
		if p.refusal != nil {
			shut++
		}
		reasons = append(reasons, f.explain(problem{code: code, p: p}))
	}
	if len(told) > 0 && shut == len(told) {
		reasons[0].Text = fmt.Sprintf("this node was told to join a cluster named %q, and none of %s lets it in", f.cfg.Cluster, list(told))
		reasons[0].WayOut = "end what keeps each from it"
	}
	return reasons
}

// whyNotFounded: the seeds have not founded a cluster yet.
func (f *Former) whyNotFounded() []event.Reason {
	var reasons []event.Reason
	founders, problems := f.founders()
	for _, p := range problems {
		reasons = append(reasons, f.explain(p))
	}
	if f.try != nil {
		return append(reasons, f.whyAttempt()...)
	}
	switch {
	case len(problems) > 0:
	case f.blockedFor(founders):
		reasons = append(reasons, f.whyBlocked())
	default:
		first := founders[0]
		r := event.Reason{Code: whyCoordinator, Addr: first.addr, Peer: first.id.NodeID,
			Text:   fmt.Sprintf("all %d seeds answer; %s is to found the cluster with them", len(founders), first.id.Name),
			WayOut: "another seed takes over by itself if that one doesn't"}
		if f.cfg.Mode == Dynamic {
			r.Text = fmt.Sprintf("%s see each other; %s is to found the cluster with them", names(identities(founders)), first.id.Name)
			r.WayOut = "another of them takes over by itself if that one doesn't"
		}
		reasons = append(reasons, r)
	}
	return reasons
}

// whyAttempt: this node coordinates and is not answered by all.
func (f *Former) whyAttempt() []event.Reason {
	var reasons []event.Reason
	for i, x := range f.try.founders {
		p := f.find(x.addr)
		r := event.Reason{Addr: x.addr, Peer: x.id.NodeID, WayOut: "it is asked again until it answers; see `muster why` there"}
		switch {
		case f.try.got[i]:
			continue
		case p.no != nil:
			r.Code, r.Text = whyNo, fmt.Sprintf("%s doesn't found with this node: %s", x.id.Name, p.no.Reason)
		case f.try.genesis == nil:
			r.Code, r.Text = whyPromises, fmt.Sprintf("waits for the promise of %s", x.id.Name)
		default:
			r.Code, r.Text = whyAccepts, fmt.Sprintf("waits for %s to accept the genesis", x.id.Name)
		}
		reasons = append(reasons, r)
	}
	return reasons
}

// whyBlocked: a genesis was accepted by a founder that can't give it up.
func (f *Former) whyBlocked() event.Reason {
	r := event.Reason{Code: whyBlocked}
	if len(f.blocked.genesis.Founders) == 0 {
		r.Text, r.WayOut = "one of the founders accepted a genesis that this version can't read", "start the version of muster that wrote it there"
		return r
	}
	var gone, words []string
	for _, i := range missing(f.blocked.genesis.Founders, f.blocked.founders) {
		if !f.answers(i) {
			gone = append(gone, fmt.Sprintf("%s (incarnation %s)", i.Name, i.Incarnation))
		}
	}
	for _, all := range f.blocked.genesis.Instead {
		for _, i := range missing(all, f.blocked.founders) {
			words = append(words, i.Name)
		}
	}
	slices.Sort(gone)
	slices.Sort(words)
	if len(gone) == 0 && !f.blocked.given {
		lost := f.lost()
		r.Text = fmt.Sprintf("%s accepted foundings that stand in each other's way, with %s, which no longer answer; no rule says which is to be given up", list(f.holders()), list(lost))
		r.WayOut = fmt.Sprintf("if they are gone for good: `muster abandon-genesis --gone %s` at each that accepted to found with them", strings.Join(lost, ","))
		return r
	}
	if len(gone) == 0 {
		r.Text = fmt.Sprintf("%s accepted a genesis that an operator has given up here", list(f.holders()))
		r.WayOut = "give it up there as well (`muster abandon-genesis`), or start those nodes with empty data directories"
		return r
	}
	r.WayOut = fmt.Sprintf("bring back their data directories; %s", f.giveUp(sortedSet(words)))
	r.Text = fmt.Sprintf("a genesis was accepted with %s, which no longer answer; they may have founded a cluster", strings.Join(gone, ", "))
	return r
}

// lost names those that don't answer of all with whom somebody accepted to found,
// as the promises of the last attempt showed.
func (f *Former) lost() []string {
	var names []string
	for _, i := range f.blocked.shown {
		if !f.answers(i) {
			names = append(names, i.Name)
		}
	}
	return sortedSet(names)
}

// answers says that this very disk does, as far as this node sees.
func (f *Former) answers(i wire.Identity) bool {
	return sameDisk(i, f.cfg.Self) || slices.ContainsFunc(f.peers, func(p peer) bool { return p.live && sameDisk(p.hello.Self, i) })
}

// giveUp is the way out of an accepted genesis where founders are gone for good.
func (f *Former) giveUp(gone []string) string {
	return fmt.Sprintf("if they are gone for good, and no cluster came of them: `muster abandon-genesis --gone %s` at %s",
		strings.Join(gone, ","), each(f.holders()))
}

// coFounders names those with whom this node accepted to found, for people.
func (f *Former) coFounders() string {
	if f.accepted == nil {
		return "others"
	}
	others := slices.DeleteFunc(slices.Clone(f.accepted.Founders), func(i wire.Identity) bool { return sameDisk(i, f.cfg.Self) })
	return names(others)
}

func names(ids []wire.Identity) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = id.Name
	}
	slices.Sort(words)
	return list(words)
}

// span says how long so many ticks are, as 1h2m3s.
func (f *Former) span(ticks int) string {
	s := ticks * f.cfg.TickMillis / 1000
	switch {
	case s >= 3600:
		return fmt.Sprintf("%dh%dm%ds", s/3600, s/60%60, s%60)
	case s >= 60:
		return fmt.Sprintf("%dm%ds", s/60, s%60)
	}
	return fmt.Sprintf("%ds", s)
}

// who names the node at an address for people.
func (p *peer) who() string {
	if p.met && p.hello.Self.Name != "" {
		return fmt.Sprintf("%s at %s", p.hello.Self.Name, p.addr)
	}
	return p.addr
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// list writes words as people do.
func each(words []string) string {
	if len(words) > 1 {
		return "each of " + list(words)
	}
	return list(words)
}

func list(words []string) string {
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}
