package muster

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/musterhq/muster/internal/datadir"
	"github.com/musterhq/muster/internal/host"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/raftlog"
	"github.com/musterhq/muster/internal/recovery"
	"github.com/musterhq/muster/internal/snapshot"
)

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

	// ErrConfig: the configuration can't be used. Nothing was started or written.
	ErrConfig = errors.New("configuration")

	// ErrNoWay: nothing in the configuration leads to a cluster, and the data
	// directory is of no member. Such an error is an ErrConfig, too.
	ErrNoWay = errNoWay

	// ErrData: the data directory is refused: in use, of another node, not
	// muster's, damaged or incomplete, or it is ErrRolledBack or ErrOldGeneration. What it holds was
	// not changed.
	ErrData = errors.New("data directory refused")

	// ErrRolledBack: other members have met a later run of this node's disk, so
	// that this is an older image of it, or a copy. What the member had
	// acknowledged may be missing: it is not trusted, and it is noted in the
	// directory that it can't be used again. Such an error is an ErrData, too.
	ErrRolledBack = host.ErrRolledBack

	// ErrOldGeneration: the cluster was re-formed after the loss of its majority
	// (see ForceNew), and this node's directory is of before. It is noted there
	// that it can't be used again. Such an error is an ErrData, too.
	ErrOldGeneration = host.ErrOldGeneration

	// ErrDisk: a write or sync failed, for a full disk for instance. The node
	// has stopped; what was acknowledged before is kept.
	ErrDisk = errors.New("disk failed")

	// ErrUnreachable: the member that was to be asked can't be connected to. It
	// was not asked.
	ErrUnreachable = host.ErrUnreachable

	// ErrTooLarge: one command is above Config.MaxCommandBytes, or a question above
	// what [Node.Ask] takes. It did not happen.
	ErrTooLarge = host.ErrTooLarge
)

// AnswerError is the error that another member's [Config.Answer] returned.
type AnswerError = host.AnswerError

// RefusedError is an [ErrRefused] that says which rule it was.
type RefusedError = host.RefusedError

// sorted marks an error from below as ErrData or ErrDisk where it is one.
func sorted(err error) error {
	var corrupt *raftlog.CorruptError
	switch {
	case err == nil, errors.Is(err, ErrRemoved), errors.Is(err, ErrData), errors.Is(err, ErrDisk):
		return err
	case errors.As(err, &corrupt), errors.Is(err, host.ErrCorrupt), errors.Is(err, snapshot.ErrDamaged), errors.Is(err, snapshot.ErrInvalid),
		errors.Is(err, datadir.ErrInUse), errors.Is(err, datadir.ErrForeign), errors.Is(err, datadir.ErrOtherNode), errors.Is(err, datadir.ErrDamaged), errors.Is(err, datadir.ErrAssembling), errors.Is(err, datadir.ErrOccupied),
		errors.Is(err, ErrRolledBack), errors.Is(err, ErrOldGeneration), errors.Is(err, recovery.ErrUnfit), errors.Is(err, member.ErrPin):
		return fmt.Errorf("%w: %w", ErrData, err)
	case errors.Is(err, datadir.ErrPinPlace):
		return fmt.Errorf("%w: %w", ErrConfig, err)
	case errors.Is(err, raftlog.ErrFailed), errors.Is(err, datadir.ErrFailed), errors.Is(err, snapshot.ErrStorage), errors.Is(err, snapshot.ErrNoSpace), vfs.IsNoSpaceError(err):
		return fmt.Errorf("%w: %w", ErrDisk, err)
	}
	return err
}
