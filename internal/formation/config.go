package formation

import (
	"slices"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// Mode is how a node may come to a cluster.
type Mode uint8

const (
	// Static founds together with the nodes at the seed addresses, or joins
	// the cluster that one of them is in.
	Static Mode = iota + 1
	// Single founds alone, at once.
	Single
	// JoinOnly never founds and never promises; it asks the seeds to be let in.
	JoinOnly
	// Dynamic founds together with whom it meets, or joins the cluster that one
	// of them is in.
	Dynamic
)

// String is the mode's name in messages.
func (m Mode) String() string {
	switch m {
	case Static:
		return "static"
	case Single:
		return "single"
	case JoinOnly:
		return "join-only"
	case Dynamic:
		return "dynamic"
	}
	return "unknown"
}

// Config is what a node was told at its start. It is not changed.
type Config struct {
	Self    wire.Identity
	Cluster string // the cluster's name
	Mode    Mode
	// Seeds is as configured. Static: the founders' addresses. JoinOnly and
	// Dynamic: addresses to ask. Single: not used.
	Seeds []string
	// Expect is with how many founders together Dynamic founds, this node
	// among them; at least 2. Not used by the others.
	Expect int
	// Pin is the cluster that this node was in, by a pin outside its data
	// directory; zero: it has none. See pin.go.
	Pin     cluster.ClusterID
	PinPath string // for people
	// Nonce is 16 random bytes, drawn by the caller at each boot.
	Nonce []byte
	// RetryTicks is how often everybody is asked again, in ticks; 0 means 5.
	RetryTicks int
	// TickMillis is how long a tick takes, in milliseconds; 0 means 100. Only
	// the durations in reasons depend on it.
	TickMillis int
}

const (
	defaultRetryTicks = 5
	defaultTickMillis = 100

	// slow is how many retries pass between two questions that are unlikely
	// to be answered better: refused joins, dead addresses that are no seeds.
	slow = 10
	// lost is after how many retries without any report a call is asked again.
	lost = 4
	// maxLearned bounds the addresses learned from peers, beyond the seeds.
	maxLearned = 64
)

// withDefaults returns a copy that shares nothing that the caller may change.
func (c Config) withDefaults() Config {
	c.Seeds = sortedSet(c.Seeds)
	c.Nonce = slices.Clone(c.Nonce)
	if c.Mode != Dynamic {
		c.Expect = 0
	}
	if c.RetryTicks <= 0 {
		c.RetryTicks = defaultRetryTicks
	}
	if c.TickMillis <= 0 {
		c.TickMillis = defaultTickMillis
	}
	return c
}

// sortedSet returns a sorted copy without duplicates.
func sortedSet(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}

// sameSet says whether b holds the addresses of a, which is sorted and
// without duplicates.
func sameSet(a, b []string) bool {
	return slices.Equal(a, b) || slices.Equal(a, sortedSet(b))
}
