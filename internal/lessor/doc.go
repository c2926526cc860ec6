// Package lessor counts how long leases have left, and keeps them alive.
//
// The leader counts, and it alone; what is replicated of a lease is in package
// kv. [Lessor] is the count: no goroutine, and no clock but those it is given.
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
//   - it renews only after a quorum has confirmed, since the renewal came in or
//     shortly before, that it still leads (Raft thesis §6.4); see below;
//   - what it proposes to revoke carries its term, so that it needs to ask nobody:
//     the log says whether it was in time.
//
// # At once
//
// A quorum that confirms a leader tells that no later leader was elected before
// the confirmation began. That holds good for a while, if whoever is elected later
// makes up for it:
//
//   - A renewal is answered at once by the leader of a term that a quorum has
//     confirmed in that term, when the clock shows less than three quarters of the
//     grace since the round began.
//   - A leader counts as if the grace that began with its election were over. As
//     long as it isn't, what it takes over, or grants or renews, has all of its
//     time, or what is noted, from the end of the grace.
//
// Say that the round began at c, the leader looked at the clock at r < c + grace,
// and another one was elected at e, later than c. That one ends the lease no sooner
// than at e + grace + TTL > r + TTL, and the client had asked before r. That is so for
// any leader after it, and for the first one itself if it leads again, which is in
// another term and so not on the same confirmation. It is so however the leadership
// changed, by an election or because it was transferred, and however long a lease
// is. A renewal must not take from the grace: the leader before may have renewed the
// lease later than its successor did.
//
// What is promised is counted from when it was asked for. So it doesn't matter
// how long the answer takes after r, be it because the process is stopped.
//
// The answer is then only that a lease is there. For one that the leader doesn't know,
// that is over, or has a note to be taken back, and while something is committed that is
// not applied, a quorum is asked. So a stable leader finds no lease whose end
// was told to anybody before. One that is deposed may, until it hears of that or the
// confirmation is too old: a lease that was revoked by a client, and its promise is then
// as good as one from just before that; or one of the same ID that was granted anew, whose
// TTL it doesn't know.
//
// # Time
//
// A lease never ends early. Time is monotonic; and what passes while the member
// does not run, for a stopped process or an overloaded machine, counts for at
// most [maxStep]: renewals may have come in meanwhile. A new leader gives a lease
// all of its time, or what was noted of it last, so that leaders that change often
// don't keep a lease for ever whose owner is gone.
//
// How old a confirmation is errs to the other side: all time counts, also when the
// process was stopped or the machine asleep, by the larger of what a monotonic clock
// and the wall's clock say. What has to be so:
//
//   - the clocks of two members differ in rate by less than a quarter over a second;
//   - one of the two clocks goes on while the machine sleeps. A virtual machine that
//     is halted with all of its clocks, and goes on as if nothing had been, may renew for
//     the rest of the three quarters of a second what another leader has ended;
//   - the grace is the same on all members. It is a constant for that reason, and not
//     the election timeout, which is a setting of each member.
package lessor
