// Package cluster holds the words: who is in a cluster, in which role, under
// which identity and at which address.
//
// It is plain values. It decides nothing, does no I/O, starts nothing and
// reads no clock; every other package may import it and it imports none of
// ours.
//
// Identity and address are kept apart on purpose. A [NodeID] comes from an
// [Incarnation], which lives and dies with a disk and is never reused; names
// and addresses are hints that may change at any time.
package cluster
