package event

import "github.com/musterhq/muster/cluster"

// Forecast is what the leader would do next, one thing after the other, as
// things stand, or if something else were so. Nothing of it has been done.
type Forecast struct {
	If      string         `json:"if,omitempty"`      // what is supposed, as it was asked
	Refused *Reason        `json:"refused,omitempty"` // what is supposed would be refused; then there are no changes
	Changes []ForecastStep `json:"changes"`           // in order; at most MaxForecast
	Waiting []Reason       `json:"waiting"`           // what would then be waited for, sorted by member and code
	Before  Strength       `json:"before"`            // as things stand
	After   Strength       `json:"after"`             // after the changes
}

// MaxForecast is how many changes a [Forecast] looks ahead.
const MaxForecast = 64

// ForecastStep is one change of a [Forecast].
type ForecastStep struct {
	Text string   `json:"text"` // the change, one sentence
	Why  []Reason `json:"why"`  // why each of its parts

	Promote []cluster.NodeID `json:"promote,omitempty"`
	Demote  []cluster.NodeID `json:"demote,omitempty"`
	Remove  []cluster.NodeID `json:"remove,omitempty"`
	Lead    cluster.NodeID   `json:"lead,omitempty"` // to whom leadership is handed
}

// Strength is what a cluster can survive.
type Strength struct {
	Voters   int `json:"voters"`
	Quorum   int `json:"quorum"`   // how many of them are needed
	Active   int `json:"active"`   // how many of them answer
	Survives int `json:"survives"` // how many more of them may fail; negative: too few answer already
	Learners int `json:"learners"`
}
