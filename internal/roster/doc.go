// Package roster plans the leader's next membership change.
//
// It is a function from what the leader sees to one change, or none, and the
// reasons for it. It proposes nothing, keeps nothing between two calls, reads
// no clock, and leaves joint consensus to raft: a [Change] is meant to happen
// as a whole (Raft thesis §4.3). Package replica calls [Plan] on the leader
// each few ticks, [PlanRemove] when somebody asks a member to leave, and
// [PlanStandDown] when a voter is about to stop; [Foresee] answers what would
// happen, and does nothing.
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
//   - No change of its own, and no removal that isn't told to, leaves fewer
//     voters than the floor, which is the target unless it is set.
//   - The same view gives the same change, and what it does it doesn't undo: when
//     nothing changes outside, it comes to rest.
//
// # What it does, in this order
//
//   - Who was replaced by its own new disk goes (pair.go), and who never showed up
//     (clean.go): they count no more.
//   - Voters above the target are demoted, then missing ones promoted (size.go).
//   - A voter that is dead, or whose disk is gone, gives its vote to a standby or
//     to its successor in one change (replace.go, pair.go). Without one it keeps
//     its vote, unless a floor below the target lets two go at once (size.go).
//   - Votes are moved from crowded zones to emptier ones (spread.go, zones.go). A
//     zone is what fails at once; a member that names none fails alone.
//   - Who has long been gone is removed, and only when nothing depends on it
//     (clean.go): a demotion can be undone, a removal can't.
//   - Leadership is handed to a voter in a better zone (lead.go).
//
// # Why it comes to rest
//
// Each change makes one of these numbers smaller, and none before it greater:
// the members; the voters that there are too many of; those that are dead or
// wiped; those that are missing; the sum over the zones of the square of the
// number of voters in them; the rank of the leader's zone. So there is an end.
// The property tests look for more: no role is given and taken back.
package roster
