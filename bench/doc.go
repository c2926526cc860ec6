// Package bench is empty: the module holds the benchmarks of muster against
// its peers, as commands, so that the peers stay out of muster's own
// dependencies. See README.md for what is measured and how to read it.
//
//   - etcd: three member processes of etcd and of muster, driven by the same
//     etcd client.
//   - scale: one member process of muster with much data.
//   - lib: three members in one process, muster and hashicorp/raft, driven at
//     the leader.
package bench
