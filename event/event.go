// Package event holds everything worth telling an operator, as typed values.
//
// One value feeds the log line, `muster why`, the console and the tests. The
// package only describes: it sends nothing and keeps nothing. Pure packages
// return events; the host logs them.
package event

import "github.com/musterhq/muster/cluster"

// Event is something that happened once.
type Event interface {
	// Kind is a stable snake_case name, the "msg" of the log line's event
	// attribute and the "kind" in JSON.
	Kind() string
	// Text says it in one English sentence without a final stop.
	Text() string
}

// Reason is one thing that a node waits for, or why something is not done.
// It is a state and not an event: it lasts until its cause ends.
type Reason struct {
	Code   string         `json:"code"`              // stable snake_case name, such as "seed_unreachable"
	Text   string         `json:"text"`              // what is waited for, one sentence
	WayOut string         `json:"way_out,omitempty"` // what would end the wait, one sentence
	Peer   cluster.NodeID `json:"peer,omitempty"`    // whom it is about, when that is known
	Addr   string         `json:"addr,omitempty"`    // and where
}
