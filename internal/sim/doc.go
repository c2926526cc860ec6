// Package sim is a world for muster's members in one goroutine, from one seed.
//
// It is a second body for internal/member: the brain, the boot, admission, the
// real raft log, the real snapshot store and the real data directory run as
// they do in a node, over a clock, a network and disks that are simulated
// ([crashfs]). It is no model of them, and no part of a node that runs.
//
// Every fifth world has a keyspace: package kv's store, with watches and leases,
// whose files alone are not on the simulated disks. Others have a few registers.
//
// A [Run] founds a cluster, lets clients and operators use it while a [Script]
// of faults is carried out, ends all faults, and demands that everything comes
// to a good end. The script is drawn before the run, so that a failing one can
// be shortened: [Shrink]. What must hold is checked after each step by the
// truth, which sees what no member sees.
//
// Invariants:
//
//   - The same seed and script give the same transcript, byte by byte: virtual
//     time, no map order, no chance but from the seed. Raft draws its election
//     jitter from crypto/rand.Reader, which is process-global; a run replaces
//     it, so that one run at a time goes on in a process.
//   - A stream of an image has its two ends in two goroutines, because package
//     snapshot is written that way; the world stands still until both are done.
package sim
