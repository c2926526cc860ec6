// Package robustness holds histories of a muster whose members are killed
// against the model and the validators of etcd's own robustness tests:
// linearizable operations, serializable reads, and what etcd promises of
// watches (in order, unique, atomic, reliable, resumable, bookmarkable, with
// right previous values).
//
// etcd's tests learn from the write-ahead logs of the members what happened
// and what didn't. Here a watch of everything, made when all is over, says so.
package robustness
