package host

import "errors"

// See package muster, which exports these, for what they promise.
var (
	ErrUnknownOutcome = errors.New("outcome unknown: no answer in time")
	ErrNotLeader      = errors.New("no leader")
	ErrOverloaded     = errors.New("overloaded: too many requests wait")
	ErrNotMember      = errors.New("not a member of a cluster yet")
	ErrRefused        = errors.New("refused")
	ErrRemoved        = errors.New("this node was removed from the cluster")
	ErrStopped        = errors.New("the node has stopped")
	ErrTooLarge       = errors.New("command too large")
)

// ErrCorrupt says that something on disk is damaged or missing; the text says
// what, and the way out.
var ErrCorrupt = errors.New("data directory damaged")
