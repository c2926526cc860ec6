package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/server"
)

// printWhy writes one screen: this node, its leader, the others, and what shows
// between them. What one section says the next doesn't repeat.
func printWhy(w io.Writer, endpoint string, why server.WhyAnswer) {
	who := why.Node
	if who == "" {
		who = why.ID.String()
	}
	switch {
	case why.Stage == "removed":
		fmt.Fprintf(w, "%s at %s was removed from its cluster.\n", who, endpoint)
	case why.ClusterID.IsZero():
		fmt.Fprintf(w, "%s at %s is in no cluster yet (it is to be in %q).\n", who, endpoint, why.Cluster)
	default:
		fmt.Fprintf(w, "%s at %s is a member of %q (%s), now %s.\n", who, endpoint, why.Cluster, why.ClusterID, why.State)
	}
	sections := whySections(why)
	if len(why.Reasons) == 0 {
		fmt.Fprintln(w, "It waits for nothing.")
	}
	for _, s := range sections {
		if len(sections) > 1 || s.title != ownTitle {
			fmt.Fprintf(w, "\n%s\n", s.title)
		}
		printReasons(w, s.reasons)
	}
	if silent := notAsked(why); silent != "" {
		fmt.Fprintf(w, "\n%s\n", silent)
	}
}

// section is what one node says, or what shows between all.
type section struct {
	title   string
	reasons []event.Reason
}

// ownTitle is left out where there is nothing else.
const ownTitle = "This node says:"

// whySections are the screen's parts that say something that those before them
// don't.
func whySections(why server.WhyAnswer) []section {
	var out []section
	var said, links, none []event.Reason
	add := func(title string, owner cluster.NodeID, reasons, links []event.Reason) {
		if rest := less(owner, reasons, links, said); len(rest) > 0 {
			out = append(out, section{title, rest})
			said = append(said, rest...)
		}
	}
	var others []event.Witness
	if s := why.Survey; s != nil {
		others = s.Members
		if slices.ContainsFunc(others, func(m event.Witness) bool { return m.Err == "" }) {
			links = s.Reasons // else they are but this node's own words
		}
	}
	add(ownTitle, why.ID, why.Reasons, links)
	if why.Leader != "" {
		add(fmt.Sprintf("The leader, %s, says:", why.Leader), idOf(why.Leader, others), why.LeaderReasons, links)
	}
	for _, m := range others {
		if m.Name != why.Leader {
			add(m.Name+" says:", m.ID, m.Reasons, links)
		}
	}
	add("Between the members:", 0, links, none)
	return out
}

func idOf(name string, ms []event.Witness) cluster.NodeID {
	for _, m := range ms {
		if m.Name == name {
			return m.ID
		}
	}
	return 0
}

// less leaves out what was said before, and what the survey tells better: one
// end's view of a link, and peers that the reason of a lost quorum names already.
func less(owner cluster.NodeID, reasons, links, said []event.Reason) []event.Reason {
	named := slices.ContainsFunc(reasons, func(r event.Reason) bool { return r.Code == "no_quorum_reachable" })
	return slices.DeleteFunc(slices.Clone(reasons), func(r event.Reason) bool {
		if r.Code == "peer_unreachable" && named {
			return true
		}
		if slices.ContainsFunc(said, func(s event.Reason) bool {
			return (s.Peer != 0 || s.Addr != "") && s.Code == r.Code && s.Peer == r.Peer && s.Text == r.Text
		}) {
			return true
		}
		if r.Code == "vote_split" && slices.ContainsFunc(links, func(l event.Reason) bool { return l.Code == r.Code }) {
			return true
		}
		return aboutLink(r) && slices.ContainsFunc(links, func(l event.Reason) bool {
			return aboutLink(l) && (l.Peer == r.Peer || l.Peer == owner)
		})
	})
}

func aboutLink(r event.Reason) bool {
	return r.Code == "peer_unreachable" || r.Code == "one_way_link" || r.Code == "link_down"
}

// notAsked names the members that did not answer and of which nothing else was said.
func notAsked(why server.WhyAnswer) string {
	if why.Survey == nil {
		if why.LeaderErr != "" {
			return fmt.Sprintf("The leader, %s, could not be asked: %s", why.Leader, why.LeaderErr)
		}
		return ""
	}
	said := slices.Concat(why.Reasons, why.LeaderReasons, why.Survey.Reasons)
	var parts []string
	for _, m := range why.Survey.Members {
		told := slices.ContainsFunc(said, func(r event.Reason) bool {
			aboutPeer := aboutLink(r) || strings.HasPrefix(r.Code, "peer_") || r.Code == "other_node_there" || r.Code == "voter_wiped" || strings.HasPrefix(r.Code, "tls_")
			return r.Peer == m.ID && aboutPeer || r.Code == "no_quorum_reachable" && strings.Contains(r.Text, m.Name)
		})
		if m.Err != "" && !told {
			parts = append(parts, fmt.Sprintf("%s (%s)", m.Name, m.Err))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "Could not be asked: " + strings.Join(parts, ", ")
}

// textWidth is where lines of reasons are broken: two columns less than what a
// wide terminal has.
const textWidth = 98

func printReasons(w io.Writer, reasons []event.Reason) {
	fmt.Fprintln(w)
	for _, r := range reasons {
		fmt.Fprintln(w, wrapped("  - ", "    ", r.Text))
		if r.WayOut != "" {
			fmt.Fprintln(w, wrapped("      way out: ", "        ", r.WayOut))
		}
	}
}

// wrapped breaks text between words, with first before its first line and rest
// before the others.
func wrapped(first, rest, text string) string {
	var b strings.Builder
	b.WriteString(first)
	at, fresh := utf8.RuneCountInString(first), true
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case fresh:
		case at+1+n > textWidth:
			b.WriteString("\n" + rest)
			at = utf8.RuneCountInString(rest)
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at, fresh = at+n, false
	}
	return b.String()
}
