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
// # Rules
//
//   - Nothing is inferred from silence. A seed that doesn't answer holds up the
//     founding, for ever if need be, and [Former.Why] says so.
//   - A node is founded only by a genesis that it accepted.
//   - A node that sees a cluster of its name neither founds nor promises; it
//     joins. Two clusters of that name: it joins neither.
//   - An accepted genesis is given up in three cases, see [Former.replaceable] and
//     [Former.acceptedIsDead]: a minority of its founders is gone from its seed
//     address and every other one promises that it wasn't founded; or one of
//     its founders is in another cluster, so that it can't have been committed.
//
// At most one cluster comes out of a seed list, unless the disks of all of its
// founders are wiped. What that costs: one dead seed holds up the first
// founding, though never a cluster that exists.
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
