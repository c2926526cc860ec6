// Package formation is how a node without a cluster founds one or joins one.
//
// It is pure: inputs (ticks, answers, questions) go into a [Former], and
// [Effects] come out. It opens no connection, writes no file, reads no clock
// and draws no random number; the host does that for it, and the tests do it
// with a world in which messages are lost and disks are wiped. It knows
// nothing of raft, and nothing of what happens after a node is a member.
//
// # The protocol
//
// A node goes one way only, and each step is durable before it is shown:
//
//	BLANK → PROMISED(ballot) → ACCEPTED(ballot, genesis) → member → removed
//
// With [Static], the founders are the nodes at the seed addresses: all of
// them, each another incarnation, each with the same seed list. The lowest
// incarnation coordinates; the others take over in the order of their
// incarnations when nothing happens. Three rounds follow:
//
//	Prepare  every founder promises to answer no lower ballot, and shows what it accepted
//	Accept   every founder accepts one genesis, the one accepted before if there is one
//	Commit   the coordinator is founded, and tells the others
//
// It is Paxos with one change: every founder is needed instead of a majority.
// A majority forks after one wiped disk: two of three found, one of the two
// loses its disk, and it founds again with the third. Ballots serve to finish
// what a crashed coordinator began, not to do without one of the founders.
//
// A founder that misses the Commit learns of it by asking: a member that shows
// the ID of the genesis that this node accepted proves that it was committed.
//
// With [Dynamic], the founders are as many nodes as each of them expects, that
// answer, are in no cluster and all see each other: of those the lowest
// incarnations. Seeds are only addresses to begin with; nodes learn of the rest
// from each other. Each founder checks at its promise that it sees the others
// itself, and that no second group could found: it refuses if twice as many
// nodes as are expected are there, as far as it and those that it sees can see.
// And whoever accepted a genesis founds with the same nodes, or those at their addresses,
// while all that see it wait.
//
// # Rules
//
//   - Nothing is inferred from silence. A seed that doesn't answer holds up the
//     founding, for ever if need be, and [Former.Why] says so.
//   - A node is founded only by a genesis that it accepted.
//   - A node that sees a cluster of its name neither founds nor promises; it
//     joins. Two clusters of that name: it joins neither.
//   - An accepted genesis is given up in two cases, see [Former.against] and
//     [Former.acceptedIsDead]: a minority of its founders is gone from its
//     address and every other one promises that it wasn't founded; or one of
//     its founders is in another cluster, so that it can't have been committed.
//     In any other, an operator has to say at each founder that is left who is
//     gone for good, see [Former.Abandon].
//
// At most one cluster comes out of a seed list, unless the disks of all of its
// founders are wiped. What that costs: one dead seed holds up the first
// founding, though never a cluster that exists.
//
// Dynamic gives less, for nothing that a node can ask tells it of nodes that it
// can't reach. Two groups with a founder in common never both found. Two that
// have none may, if they are as large as expected and none of the one has met
// any of the other when they promise. To expect more than half of the nodes
// that there will ever be rules that out, as long as no disk is wiped: the new
// disk counts as another node.
//
// # How that is known
//
// The stories in testdata tell how nodes act. A model draws worlds by chance and
// breaks them. And an explorer runs this code through every state that a few
// nodes can come to, whatever is lost, repeated, crashed and wiped: `make
// explore`, and in short in every run of the tests.
//
// # Use
//
// One goroutine owns a Former: package replica's driver, that is the host or
// the simulator. After [New] and after each input it takes [Former.Effects],
// and carries out Save before all the rest. Every Call must end in one of
// [Former.Answered] and [Former.Failed]; one that doesn't is taken for lost
// after a while.
package formation
