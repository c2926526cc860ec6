package process

import (
	"strings"
	"testing"

	"github.com/musterhq/muster/internal/loopback"
)

// All members stop and come back elsewhere, each address another one. They are
// told where the others are now, find each other, and are what they were.
func TestAllAddressesChange(t *testing.T) {
	t.Parallel()
	ms := formed(t)
	id := ready(t, ms...)
	fill(t, dial(t, ms...), "a", 10)
	var seeds []string
	for _, m := range ms {
		m.term()
		addrs := loopback.Addrs(t, 2)
		m.client, m.peer = addrs[0], addrs[1]
		seeds = append(seeds, m.peer)
	}
	for _, m := range ms {
		m.args = []string{"--seeds", strings.Join(seeds, ",")}
		m.start()
	}
	if got := ready(t, ms...); got != id {
		t.Fatalf("it is cluster %s, and was %s", got, id)
	}
	full(t, dial(t, ms...), "a", 10)
	eventually(t, "all show the new addresses", func() bool {
		for _, m := range ms {
			s, err := m.status()
			if err != nil || len(s.Members) != len(ms) {
				return false
			}
			for _, x := range s.Members {
				if !strings.Contains(strings.Join(seeds, ","), x.PeerAddr) {
					return false
				}
			}
		}
		return true
	})
	voters(t, ms[0], 3)
}
