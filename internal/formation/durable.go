package formation

import (
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// Durable is all that a node must not forget about how it came to its cluster.
// The host keeps it as a JSON document beside the incarnation. The zero value
// is a blank node.
type Durable struct {
	Stage    wire.Stage  `json:"stage"`    // "" is wire.Blank
	Promised wire.Ballot `json:"promised"` // no lower ballot is answered; never falls
	Accepted wire.Ballot `json:"accepted"` // ballot of Genesis; zero: none was accepted
	// Genesis is the accepted genesis and, once Founded, the one that founded
	// the cluster. It is never changed in place.
	Genesis   []byte            `json:"genesis,omitempty"`
	ClusterID cluster.ClusterID `json:"cluster_id"`          // set for members, and kept after removal
	Founded   bool              `json:"founded,omitempty"`   // a founder; else it joined
	Tombstone uint64            `json:"tombstone,omitempty"` // wire.Removed: log index of the removal
	// Abandoned are the clusters of geneses that were given up on an operator's
	// word, see [Former.Abandon]: they are never accepted again. Not changed in place.
	Abandoned []cluster.ClusterID `json:"abandoned,omitempty"`
}

// stage is Stage with the zero value spelt out.
func (d Durable) stage() wire.Stage {
	if d.Stage == "" {
		return wire.Blank
	}
	return d.Stage
}
