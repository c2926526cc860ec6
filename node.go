package muster

import (
	"context"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/statemachine"
)

// Node is one member, or a node on its way to become one.
type Node struct{}

// Start opens the data directory, listens for peers and begins to form or join
// a cluster, or to take part in the one it is a member of. It returns as soon
// as the node runs; [Node.Ready] waits for the cluster. ctx bounds starting
// only. On an error nothing is left behind.
//
// The machine is opened here, driven until Close, and closed by it.
func Start(ctx context.Context, cfg Config, machine statemachine.Machine) (*Node, error) {
	panic("todo")
}

// Ready returns when this node is a member of a cluster, knows its leader, and
// has applied what was committed when that was first so. On ctx's end the error says
// what is waited for.
func (n *Node) Ready(ctx context.Context) error { panic("todo") }

// Propose replicates one command and returns what this member's machine made
// of it. It may be called on any member. The command is not kept. Errors:
// ErrNotMember, ErrNotLeader, ErrOverloaded, ErrTooLarge, ErrRemoved, ErrStopped
// (it did not happen); ErrUnknownOutcome (nobody knows).
func (n *Node) Propose(ctx context.Context, command []byte) (statemachine.Result, error) {
	panic("todo")
}

// ReadIndex returns once this member's machine has applied everything that was
// committed anywhere before the call: a read of the machine after it is
// linearizable (Raft thesis §6.4). Nothing enters the log. The answer is the
// applied index. Errors: ErrNotMember, ErrNotLeader, ErrStopped, ctx's.
func (n *Node) ReadIndex(ctx context.Context) (uint64, error) { panic("todo") }

// Status is what this node knows now. It never blocks.
func (n *Node) Status() *cluster.Status { panic("todo") }

// Why says what this node waits for, or why something isn't done; empty when
// all is as it should be.
func (n *Node) Why() []event.Reason { panic("todo") }

// Leave gives up this node's membership, for good, and returns once that is
// applied. The node then stops by itself with ErrRemoved. Refused where the
// rest would be without quorum.
func (n *Node) Leave(ctx context.Context) error { panic("todo") }

// Remove removes a member, for good. See [Node.Leave].
func (n *Node) Remove(ctx context.Context, id cluster.NodeID) error { panic("todo") }

// Transfer hands leadership to a voter; 0 lets the leader choose the one that
// is furthest. It returns when this node sees the new leader.
func (n *Node) Transfer(ctx context.Context, to cluster.NodeID) error { panic("todo") }

// Stop hands leadership over if this node has it, within ctx, and closes the
// node. Membership is kept: to stop is not to leave.
func (n *Node) Stop(ctx context.Context) error { panic("todo") }

// Close stops at once: no hand-over. It is idempotent and returns when every
// goroutine has ended and all files are synced and closed.
func (n *Node) Close() error { panic("todo") }

// Done is closed when the node has stopped, for whatever reason.
func (n *Node) Done() <-chan struct{} { panic("todo") }

// Err is nil while the node runs and after Close; else why it stopped: a
// failed disk or machine, or ErrRemoved.
func (n *Node) Err() error { panic("todo") }

// PeerAddr is the address that peers reach this node at, with the port that
// was chosen when PeerListen had port 0.
func (n *Node) PeerAddr() string { panic("todo") }
