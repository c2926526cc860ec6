// Package lessor counts how long leases have left, and keeps them alive.
//
// The leader counts, and it alone; what is replicated of a lease is in package
// kv. [Lessor] is the count: no goroutine, and no clock but the one it is given.
// [Keeper] moves it: it takes the leases over when its member comes to lead,
// proposes to revoke those whose time is over, notes now and then how much of a
// long one is left, and renews. It decides nothing of leadership, serves no
// client, and holds nothing that would be lost with it.
//
// # Who may count
//
// A member that believes to lead may have been deposed without knowing. So
//
//   - it takes the leases over by a command in its term, and counts from when
//     that is applied: all that earlier leaders decided is then applied, or will
//     be refused (kv.ErrLeaseTerm);
//   - it renews only after a quorum has confirmed, since the renewal came in, that
//     it still leads (Raft thesis §6.4). Whoever leads later counts from a moment
//     after that, and gives the lease all of its time again;
//   - what it proposes to revoke carries its term, so that it needs to ask nobody:
//     the log says whether it was in time.
//
// # Time
//
// A lease never ends early. Time is monotonic; and what passes while the member
// does not run, for a stopped process or an overloaded machine, counts for at
// most [maxStep]: renewals may have come in meanwhile. A new leader gives a lease
// all of its time, or what was noted of it last, so that leaders that change often
// don't keep a lease for ever whose owner is gone.
package lessor
