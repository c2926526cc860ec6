// Package roster plans the leader's next membership change.
//
// It is a function from what the leader sees to one change, or none, and the
// reasons for it. It proposes nothing, keeps nothing between two calls, reads
// no clock, and leaves joint consensus to raft: a [Change] is meant to happen
// as a whole (Raft thesis §4.3). Package replica calls [Plan] on the leader
// each few ticks, and [PlanRemove] when somebody asks a member to leave.
//
// # What it holds to
//
//   - It aims at an odd number of voters, see [Target]; everybody else is a
//     learner on standby.
//   - It never makes the number of voters even. An even number comes from the
//     founders, or from nowhere. So one voter grows to three at once, and
//     three to five. Two founders stay two voters until there is a third member:
//     one of them alone would be no safer.
//   - A learner is promoted only when it has caught up (Raft thesis §4.2.1), has
//     answered for a while, and is not needed: the voters of before are a majority
//     of the new configuration without it. From one voter to three that is
//     impossible; there, one of the two newcomers is counted as dead.
//   - It never demotes the leader.
//   - The same view gives the same change, and what it does it doesn't undo: when
//     nothing changes outside, it comes to rest.
//
// Demoting dead voters, zones, and swapping a wiped member for its successor
// are not done here yet; their place is beside grow and shrink.
package roster
