// Package replica is one member's protocol behaviour: the brain.
//
// It wraps go.etcd.io/raft/v3's RawNode and adds what every user of it writes
// again: group commit, forwarding at most once, batched linearizable reads,
// the membership as a state machine of its own, promotion of learners, and
// the rule of which snapshot may be sent. It writes none of Raft itself.
//
// It is pure. Inputs go in through methods, effects come out of
// [Replica.Effects]; there is no goroutine, channel, clock, randomness, disk
// or socket in it (raft's own election jitter is the one exception). Time is
// counted in ticks. The body (internal/host, or the simulator) owns all of
// those and must
//
//   - call the methods from one goroutine,
//   - hand every [Append] to one log writer and every [Apply] to one applier,
//     each in order, and give them back through [Replica.Appended] and
//     [Replica.Applied], in order, when they are done,
//   - send an Append's Durable messages only after it is durable.
//
// Invariants: applied <= committed; the applied index moves only by
// [Replica.Applied]; the membership is a function of the log up to the applied
// index; at most one configuration change is in flight; a proposal is put into
// the log at most once.
package replica
