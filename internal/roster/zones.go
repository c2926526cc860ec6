package roster

import (
	"cmp"
	"slices"

	"github.com/musterhq/muster/cluster"
)

// crowd is how many voters each zone has. What is made small is the sum of the
// squares of these numbers: it is smallest where no zone has more voters than
// it must, and each trade makes it smaller, so trades come to an end.
type crowd map[string]int

func crowdOf(voters []MemberSeen) crowd {
	c := crowd{}
	for _, m := range voters {
		c[zone(m)]++
	}
	return c
}

// zone is where a member is. One without a zone is a zone of its own.
func zone(m MemberSeen) string {
	if m.Member.Zone != "" {
		return m.Member.Zone
	}
	return "\x00" + m.Member.ID.String()
}

// fill picks n of the members to be voters, each time one in the zone that has
// the fewest, and counts them.
func (c crowd) fill(from []MemberSeen, n int) []MemberSeen {
	var chosen []MemberSeen
	for len(chosen) < n {
		best := slices.MinFunc(without(from, chosen), func(a, b MemberSeen) int {
			return cmp.Or(cmp.Compare(c[zone(a)], c[zone(b)]), cmp.Compare(a.Member.ID, b.Member.ID))
		})
		chosen = append(chosen, best)
		c[zone(best)]++
	}
	return chosen
}

// thin picks n of the voters to be none any more: those that don't answer
// first, then each time one in the zone that has the most, then those that lag,
// and the highest ID. The leader is never picked, so there may be fewer.
func (c crowd) thin(voters []MemberSeen, leader cluster.NodeID, n int) []MemberSeen {
	spare := slices.DeleteFunc(slices.Clone(voters), func(m MemberSeen) bool { return m.Member.ID == leader })
	var chosen []MemberSeen
	for len(chosen) < n && len(chosen) < len(spare) {
		best := slices.MinFunc(without(spare, chosen), func(a, b MemberSeen) int {
			return cmp.Or(answers(a)-answers(b), cmp.Compare(c[zone(b)], c[zone(a)]), lesser(a, b))
		})
		chosen = append(chosen, best)
		c[zone(best)]--
	}
	return chosen
}

// trade is one member's vote given to another.
type trade struct{ out, in MemberSeen }

// gain is by how much a trade makes the sum of the squares smaller.
func (c crowd) gain(t trade) int {
	if zone(t.out) == zone(t.in) {
		return 0
	}
	return 2*(c[zone(t.out)]-c[zone(t.in)]) - 2
}

func (c crowd) apply(t trade) {
	c[zone(t.out)]--
	c[zone(t.in)]++
}

// lesser orders voters that are otherwise alike by which to demote first.
func lesser(a, b MemberSeen) int {
	return cmp.Or(cmp.Compare(a.Match, b.Match), cmp.Compare(b.Member.ID, a.Member.ID))
}

func answers(m MemberSeen) int {
	if m.Active {
		return 1
	}
	return 0
}
