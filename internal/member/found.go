package member

import "slices"

// maxFound bounds the addresses that are kept of those that discovery finds.
const maxFound = 64

// Discovered takes addresses that a discovery source has found. They serve a
// node that forms or joins, and a member that knows of no leader. A shorter
// answer takes nothing back; those found last push out the others.
func (m *Member) Discovered(addrs []string) {
	if m.failed {
		return
	}
	fresh := slices.DeleteFunc(slices.Clone(addrs), func(a string) bool {
		return a == "" || a == m.cfg.Self.PeerAddr || slices.Contains(m.cfg.Seeds, a)
	})
	slices.Sort(fresh)
	fresh = slices.Compact(fresh)
	for _, a := range m.found {
		if !slices.Contains(fresh, a) {
			fresh = append(fresh, a)
		}
	}
	m.found = fresh[:min(len(fresh), maxFound)]
	if m.former != nil {
		m.former.Offer(addrs)
	}
}
