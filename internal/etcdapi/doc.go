// Package etcdapi puts the etcd v3 API on the wire, so that every etcd client
// is a client of ours.
//
// It translates and keeps no state, but for the tokens that members hear of by
// the log and each lets end by its own clock: a write becomes one command for the
// [Proposer]; a linearizable read is a ReadIndex followed by a read of the
// [Store] (Raft thesis §6.4); a serializable read is a read of the Store
// alone. It serves KV, Watch, Lease, Auth, Cluster and Maintenance; Lock and
// Election are package lockapi's, which is a client of it.
//
// It is not a listener, and knows nothing of raft, of disks or of how a member
// is started: package server does that.
//
// Invariants:
//
//   - A write is handed to the Proposer at most once per request, and no error
//     that may follow a handed-over write has a code on which etcd's client
//     repeats a write by itself (codes.Canceled, codes.DeadlineExceeded; see
//     clientv3/retry_interceptor.go and errors.go here).
//   - Every response header carries cluster, member, term and a revision.
//   - While authentication is enabled, a method that is not in the table of
//     access.go is refused, so that a new one is closed until it says what it
//     needs. What becomes a command carries its caller, and the machine decides.
//   - That authentication is not enabled is no member's to say that has yet to catch
//     up: see caughtup.go for what waits until then.
//   - Every request ends: what waits for a leader or a quorum does so for at most
//     [Config.RequestTimeout], also for a client that would wait for longer; changes of
//     members, as long as the client says. A stream of watches lasts until its client
//     or [Server.EndStreams] ends it.
package etcdapi
