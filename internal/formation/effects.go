package formation

import (
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// Effects is what the owner of a [Former] has to carry out.
type Effects struct {
	// Save, if not nil, must survive power loss before anything below leaves
	// the node or takes effect, and before a Hello shows its stage. If it
	// can't be saved the node stops.
	Save *Durable
	// Calls are to be made concurrently; each ends in Answered or Failed.
	Calls []Call
	// Replies answer questions given to Asked, in any order.
	Replies []Reply
	Events  []event.Event
	// Outcome, if not nil, says that formation is over: nothing but replies
	// comes from the Former any more. Save of the same Effects is set.
	Outcome *Outcome
}

// Call is one question to whoever is at an address.
type Call struct {
	Addr    string
	Request wire.Request
}

// Reply is the answer to the question with this ID.
type Reply struct {
	ID       uint64
	Response wire.Response
}

// Outcome is what a node became: exactly one of Genesis and Joined is set.
type Outcome struct {
	// Genesis: the node is a founder. Raft starts from the founders as voters.
	Genesis      *wire.Genesis
	GenesisBytes []byte // its encoding, of which the cluster's ID is the hash
	// Joined: the node was added as a learner; Membership is set.
	Joined *wire.JoinReply
	Via    string // address of the member that answered
}
