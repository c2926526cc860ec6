package event

import "github.com/musterhq/muster/cluster"

// Survey is what the members of a cluster say, as one of them heard it.
type Survey struct {
	Members []Witness `json:"members"` // the others; sorted by name
	Reasons []Reason  `json:"reasons"` // what shows when all are heard together
}

// Witness is what one member says of itself.
type Witness struct {
	ID      cluster.NodeID `json:"id"`
	Name    string         `json:"name"`
	Err     string         `json:"err,omitempty"` // why it could not be asked; then there is nothing else
	Reasons []Reason       `json:"reasons,omitempty"`
	Reach   *cluster.Reach `json:"reach,omitempty"`
}
