package event

import (
	"fmt"
	"strings"

	"github.com/musterhq/muster/cluster"
)

// GenesisAbandoned: this node gave up a genesis that it had accepted, since an
// operator said that those of its founders are gone for good.
type GenesisAbandoned struct {
	Cluster cluster.ClusterID `json:"cluster"` // that would have come of it
	Gone    []string          `json:"gone"`    // names
}

// Kind implements [Event].
func (GenesisAbandoned) Kind() string { return "genesis_abandoned" }

// Text implements [Event].
func (e GenesisAbandoned) Text() string {
	return fmt.Sprintf("gave up to found cluster %s: an operator says that %s will not come back", e.Cluster, strings.Join(e.Gone, ", "))
}
