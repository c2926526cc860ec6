// Package member is one node's life, from an empty disk to its tombstone: it
// forms or joins a cluster, becomes a member over what is on disk, feeds the
// brain, carries out what the brain wants, lets others in, and keeps images of
// the machine. It decides nothing that [replica], [formation] and [roster]
// decide, and it has no goroutine, clock or socket of its own.
//
// A [Body] gives it those: internal/host for a node that runs, internal/sim for
// one in a simulated world. Both drive the same code:
//
//   - Member is owned by one goroutine, the loop. After each input the loop
//     calls [Member.Drive]. None of its methods waits for disk or network, but
//     for the durable state while the node is in no cluster yet, when there is
//     nothing else to do.
//   - [Writer] carries out [AppendJob]s, the only writer of the log.
//   - [Applier] carries out [ApplyJob]s, the only driver of the machine.
//   - What may take long goes to the body with a function to be called back on
//     the loop: questions to others, images on their way, work on the disk.
//   - [View] is an immutable picture that any goroutine may look at. It also
//     judges who may connect.
//
// Invariants: what a node saves is durable before anything that shows it
// leaves; the log is never missing again once anything was sent from it; a
// failure ends the member through [Body.Fail], and nothing is done after it.
package member
