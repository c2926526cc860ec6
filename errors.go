package muster

import "github.com/musterhq/muster/internal/host"

// What a caller can act on. Use errors.Is; texts carry details and are never
// to be matched.
var (
	// ErrUnknownOutcome: the request was handed on and no answer came in time.
	// It may have happened, may still happen, or may not. Ask again only with
	// a request that is harmless twice.
	ErrUnknownOutcome = host.ErrUnknownOutcome

	// ErrNotLeader: there was no leader to give it to. It did not happen.
	ErrNotLeader = host.ErrNotLeader

	// ErrOverloaded: too much waits already. It did not happen; slow down.
	ErrOverloaded = host.ErrOverloaded

	// ErrNotMember: this node is in no cluster yet; Node.Why says what it waits for.
	ErrNotMember = host.ErrNotMember

	// ErrRefused: a membership change was looked at and turned down. It did not happen.
	ErrRefused = host.ErrRefused

	// ErrRemoved: this node was removed from its cluster, for good.
	ErrRemoved = host.ErrRemoved

	// ErrStopped: the node was closed or has failed; see Node.Err.
	ErrStopped = host.ErrStopped

	// ErrTooLarge: one command is above Config.MaxCommandBytes. It did not happen.
	ErrTooLarge = host.ErrTooLarge
)
