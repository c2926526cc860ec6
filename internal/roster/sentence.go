package roster

import (
	"slices"
	"strings"

	"github.com/musterhq/muster/cluster"
)

// sentence says a change in words, by names.
func (w *world) sentence(c Change) string {
	var parts []string
	promote, demote := slices.Clone(c.Promote), slices.Clone(c.Demote)
	for _, id := range c.Promote {
		m, _ := find(w.Members, id)
		if i := slices.Index(demote, m.Member.Replaces); i >= 0 {
			parts = append(parts, "swap "+w.labels(id)+" for "+w.labels(m.Member.Replaces))
			demote = slices.Delete(demote, i, i+1)
			promote = slices.DeleteFunc(promote, func(p cluster.NodeID) bool { return p == id })
		}
	}
	switch {
	case len(promote) > 0 && len(promote) == len(demote):
		parts = append(parts, "promote "+w.labels(promote...)+" to voter in place of "+w.labels(demote...))
	default:
		if len(promote) > 0 {
			parts = append(parts, "promote "+w.labels(promote...)+" to voter")
		}
		if len(demote) > 0 {
			parts = append(parts, "demote "+w.labels(demote...)+" to learner")
		}
	}
	if len(c.Remove) > 0 {
		parts = append(parts, "remove "+w.labels(c.Remove...))
	}
	if c.Lead != 0 {
		parts = append(parts, "hand leadership to "+w.labels(c.Lead))
	}
	return listed(parts)
}

// labels are the members' names, sorted, as a list.
func (w *world) labels(ids ...cluster.NodeID) string {
	var names []string
	for _, id := range ids {
		m, _ := find(w.Members, id)
		names = append(names, label(w.Members, m))
	}
	slices.Sort(names)
	return listed(names)
}

// label is a member's name, and which of two it is when two have that name.
func label(ms []MemberSeen, m MemberSeen) string {
	for _, o := range ms {
		switch {
		case name(o) != name(m) || o.Member.ID == m.Member.ID:
		case succeeds(m, o):
			return name(m) + " (new disk)"
		case succeeds(o, m):
			return name(m) + " (old disk)"
		}
	}
	return name(m)
}

func listed(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}
