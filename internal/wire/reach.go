package wire

import (
	"encoding/json"

	"github.com/musterhq/muster/cluster"
)

// Reach asks a member whom it reaches and hears, and what it waits for.
type Reach struct{}

// ReachReply answers Reach. Why is what `muster why` shows of the member, opaque
// here: a list of reasons as JSON.
type ReachReply struct {
	Reach cluster.Reach   `json:"reach"`
	Why   json.RawMessage `json:"why,omitempty"`
}
