package host

import (
	"errors"

	"github.com/musterhq/muster/internal/member"
)

// See package muster, which exports these, for what they promise.
var (
	ErrUnknownOutcome = errors.New("outcome unknown: no answer in time")
	ErrNotLeader      = errors.New("no leader")
	ErrOverloaded     = errors.New("overloaded: too many requests wait")
	ErrNotMember      = errors.New("not a member of a cluster yet")
	ErrRefused        = errors.New("refused")
	ErrRemoved        = member.ErrRemoved
	ErrRolledBack     = member.ErrRolledBack
	ErrOldGeneration  = member.ErrOldGeneration
	ErrStopped        = errors.New("the node has stopped")
	ErrTooLarge       = errors.New("command too large")
	ErrUnreachable    = errors.New("member unreachable")
)

// ErrCorrupt says that something on disk is damaged or missing; the text says
// what, and the way out.
var ErrCorrupt = member.ErrCorrupt
