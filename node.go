package muster

import (
	"context"
	"errors"
	"fmt"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/host"
	"github.com/musterhq/muster/statemachine"
)

// Node is one member, or a node on its way to become one. Start makes it.
type Node struct {
	host *host.Host
	addr string
}

// Ready returns when this node is a member of a cluster, knows its leader, and
// has applied what was committed when that was first so. On ctx's end the
// error says what is waited for.
func (n *Node) Ready(ctx context.Context) error { return n.host.Ready(ctx) }

// Propose replicates one command and returns what this member's machine made
// of it. It may be called on any member. The command is kept: it must not be
// changed afterwards. Errors: ErrNotMember, ErrNotLeader, ErrOverloaded,
// ErrTooLarge, ErrStopped (it did not happen); ErrUnknownOutcome (nobody
// knows).
func (n *Node) Propose(ctx context.Context, command []byte) (statemachine.Result, error) {
	return n.host.Propose(ctx, command)
}

// ReadIndex returns once this member's machine has applied everything that was
// committed anywhere before the call: a read of the machine after it is
// linearizable (Raft thesis §6.4). Nothing enters the log. The answer is the
// applied index. Errors: ErrNotMember, ErrNotLeader, ErrStopped, ctx's.
func (n *Node) ReadIndex(ctx context.Context) (uint64, error) { return n.host.ReadIndex(ctx) }

// Ask puts a question of at most 4 MiB to the [Config.Answer] of another member,
// or of this one, and returns the answer, which is bounded likewise. It goes over
// the members' own connections, with what fences them: TLS, the token, who is of
// this cluster. All questions to a member share one connection, which is made when
// one is asked, and kept while they go on; a question costs one round trip and
// no sync. Nothing is asked twice. Nothing enters the log, nor is the order of
// questions kept, nor is the member one that knows what this one does: ask
// ReadIndex where that matters.
//
// Errors: ErrNotMember, ErrRefused (it is no member, or a release that takes no
// questions, or declines this one), ErrUnreachable, ErrOverloaded, ErrTooLarge,
// ErrStopped: it was not looked at; [*AnswerError]: it was, and answered so;
// ErrUnknownOutcome: nobody knows.
func (n *Node) Ask(ctx context.Context, to cluster.NodeID, question []byte) ([]byte, error) {
	return n.host.Ask(ctx, to, question)
}

// Status is what this node knows now. It never blocks.
func (n *Node) Status() *cluster.Status { return n.host.Status() }

// Traffic says how much this node and each other member exchanged, sorted by ID.
// It counts from when the other became a member, or from this node's start.
func (n *Node) Traffic() []cluster.Traffic { return n.host.Traffic() }

// Glance is the part of Status that goes with every answer to a client: it
// allocates nothing.
func (n *Node) Glance() cluster.Glance { return n.host.Glance() }

// Why says what this node waits for, or why something isn't done; empty when
// all is as it should be. It asks nobody. Of a node that has stopped by itself
// it says why.
func (n *Node) Why() []event.Reason {
	if err := n.Err(); err != nil {
		return []event.Reason{whyStopped(err, n.host.Status().Self.Name)}
	}
	return n.host.Why()
}

// Survey asks all other members, within about a second, what they wait for and
// whom they reach and hear, and says what shows of it: links that work in one
// direction alone, members that nobody reaches, votes that are split. In no
// cluster there is nobody to ask.
func (n *Node) Survey(ctx context.Context) event.Survey { return n.host.Survey(ctx) }

// Leave gives up this node's membership, for good, and returns once that is
// applied. The node then stops by itself with ErrRemoved. ErrRefused where the
// rest would be without quorum, or where fewer voters would be left than the
// policy's floor.
func (n *Node) Leave(ctx context.Context) error { return n.host.Leave(ctx, false) }

// LeaveBelowFloor is [Node.Leave] without regard to the policy's floor.
func (n *Node) LeaveBelowFloor(ctx context.Context) error { return n.host.Leave(ctx, true) }

// Remove removes a member, by its ID or alias, for good. See [Node.Leave]. With
// the ID of an announcement it takes that back.
func (n *Node) Remove(ctx context.Context, id cluster.NodeID) error {
	return n.host.Remove(ctx, id, false)
}

// RemoveBelowFloor is [Node.Remove] without regard to the policy's floor.
func (n *Node) RemoveBelowFloor(ctx context.Context, id cluster.NodeID) error {
	return n.host.Remove(ctx, id, true)
}

// Announce says that a member is to come and will be reached at one of the peer
// URLs, scheme://host:port. It is what `etcdctl member add` does, and need not be
// said: a node joins all the same. Whoever joins with one of these addresses as
// the one that it advertises is that member, and keeps the announced ID as its
// alias. With learner it stays a learner until [Node.Promote]; else the roster
// decides when it votes, as ever.
//
// ErrRefused, as a *[RefusedError], with the code peer_addr_taken where somebody
// is at the address, or is announced there. An announcement stays until it is
// taken up, or taken back by [Node.Remove] with its ID.
func (n *Node) Announce(ctx context.Context, peerURLs []string, learner bool) (cluster.Announced, error) {
	return n.host.Announce(ctx, peerURLs, learner)
}

// Promote asks for a learner's promotion, by its ID or alias. nil: it is a voter,
// or, where there are voters enough, on standby, and becomes one as soon as the
// policy wants one more: nothing is left to ask for. Else ErrRefused, as a *[RefusedError] with the code of a
// reason in docs/why.md: catching_up, not_active, would_lose_quorum and the like
// pass; not_learner and unknown_member don't.
func (n *Node) Promote(ctx context.Context, id cluster.NodeID) error { return n.host.Promote(ctx, id) }

// Readdress says where a member that is announced will be reached, or to which
// peer address a member is about to move. The latter is for people: the member
// itself tells the others where it is, as soon as it runs there.
func (n *Node) Readdress(ctx context.Context, id cluster.NodeID, peerURLs []string) error {
	return n.host.Readdress(ctx, id, peerURLs)
}

// SetPolicy changes settings of the cluster's policy, named as
// [cluster.PolicyKeys] does, and returns once that is applied; the empty value
// brings a default back. It may be called on any member. why is kept with the
// change, for people. ErrRefused says what is wrong with the settings.
func (n *Node) SetPolicy(ctx context.Context, settings map[string]string, why string) error {
	return n.host.SetPolicy(ctx, settings, why)
}

// Plan is what the cluster would do next by itself, and why; with suppose, what
// it would do if something were so, such as "remove n3" or "fail n1, fail n2";
// see the README for the forms. Nothing is done. ErrNotLeader on any other member
// than the leader, which alone sees how the others are; ErrConfig when suppose
// can't be understood.
func (n *Node) Plan(ctx context.Context, suppose string) (event.Forecast, error) {
	f, err := n.host.Foresee(ctx, suppose)
	if err != nil && !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrStopped) && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return f, err
}

// Transfer hands leadership to a voter; 0 lets the leader choose the one that
// is furthest. It returns when this node sees the new leader.
func (n *Node) Transfer(ctx context.Context, to cluster.NodeID) error {
	return n.host.Transfer(ctx, to)
}

// HandOver gives leadership to another voter, and this node's own vote to a
// learner that is ready, where there are such, within ctx. It is what Stop does
// first: for those who have something to end before they stop the node.
func (n *Node) HandOver(ctx context.Context) { n.host.HandOver(ctx) }

// AbandonGenesis gives up the genesis that this node accepted and that can't be
// founded any more, because founders of it are gone: see the reasons
// accepted_genesis_blocks, co_founder_missing and conflict_accepted_genesis of
// [Node.Why]. gone are those that will never come back, by their names or
// incarnations. It is durable on return, and fences: this node never takes part
// in founding by it again. It is to be said at each founder that is left; only
// then do they found anew.
//
// By it the caller vouches that no cluster came of that genesis, nor of one that
// was given up for it before, or none that is left: if those that are named go on
// somewhere, there are two clusters. So the founders of those before are to be
// named as well. A name that several disks had stands for those that don't answer.
// Errors: ErrRefused (a named one answers, one that is silent isn't named, one of
// those before is in a cluster, or there is nothing to give up), ErrStopped: it
// did not happen; ErrUnknownOutcome.
func (n *Node) AbandonGenesis(ctx context.Context, gone []string) error {
	return n.host.AbandonGenesis(ctx, gone)
}

// Stop hands leadership over if this node has it, has a learner that is ready
// vote in its place, both within ctx, and closes the node. Membership is kept: to
// stop is not to leave.
func (n *Node) Stop(ctx context.Context) error { return n.host.Stop(ctx) }

// Close stops at once: no hand-over. It is idempotent and returns when every
// goroutine has ended and all files are synced and closed.
func (n *Node) Close() error { return n.host.Close() }

// Done is closed when the node has stopped, for whatever reason.
func (n *Node) Done() <-chan struct{} { return n.host.Done() }

// Err is nil while the node runs and after Close; else why it stopped by
// itself: ErrRemoved, ErrRolledBack, ErrDisk, ErrData, or what its machine failed with.
func (n *Node) Err() error { return sorted(n.host.Err()) }

// PeerAddr is the address that peers reach this node at, with the port that
// was chosen when PeerListen had port 0.
func (n *Node) PeerAddr() string { return n.addr }
