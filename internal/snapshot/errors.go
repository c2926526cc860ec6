package snapshot

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var (
	// ErrInvalid says that a manifest or a path in it breaks the rules.
	ErrInvalid = errors.New("invalid snapshot")
	// ErrDamaged says that bytes are not those that the manifest promises.
	ErrDamaged = errors.New("damaged snapshot")
	// ErrStale says that a newer image is there already.
	ErrStale = errors.New("a newer snapshot is there already")
	// ErrBusy says that another transfer to this store is under way.
	ErrBusy = errors.New("another snapshot is being received")
	// ErrNoSpace says that the disk is full. Nothing is left behind; once
	// there is space the same can be tried again.
	ErrNoSpace = errors.New("no space left for a snapshot")
	// ErrStorage says that the disk failed otherwise. What was being written
	// is discarded; the images there were are untouched.
	ErrStorage = errors.New("snapshot storage failed")
)

// storageError names what failed, and sorts it.
func storageError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	kind := ErrStorage
	if vfs.IsNoSpaceError(err) {
		kind = ErrNoSpace
	}
	return fmt.Errorf("%w: %s %s: %w", kind, op, path, err)
}

// Refusal is why a receiver didn't take an image. It is an error.
type Refusal struct {
	Code   RefusalCode `json:"code"`
	Reason string      `json:"reason"` // one sentence, for people
}

// Error implements error.
func (r *Refusal) Error() string {
	return fmt.Sprintf("the receiver refused the snapshot (%s): %s", r.Code, r.Reason)
}

// RefusalCode is stable and tested.
type RefusalCode string

// Why a receiver refuses.
const (
	RefusedBusy     RefusalCode = "busy"     // try again later
	RefusedStale    RefusalCode = "stale"    // it has a newer one
	RefusedDeclined RefusalCode = "declined" // ReceiveOptions.Accept said no
	RefusedInvalid  RefusalCode = "invalid"
	RefusedDamaged  RefusalCode = "damaged" // a file arrived otherwise than the manifest promises
	RefusedNoSpace  RefusalCode = "no_space"
	RefusedStorage  RefusalCode = "storage"
)

// refusalFor says to the sender what err means; nil when the connection itself failed.
func refusalFor(err error) *Refusal {
	for _, k := range []struct {
		err  error
		code RefusalCode
	}{
		{ErrBusy, RefusedBusy}, {ErrStale, RefusedStale}, {errDeclined, RefusedDeclined}, {ErrInvalid, RefusedInvalid},
		{ErrDamaged, RefusedDamaged}, {ErrNoSpace, RefusedNoSpace}, {ErrStorage, RefusedStorage},
	} {
		if errors.Is(err, k.err) {
			return &Refusal{Code: k.code, Reason: err.Error()}
		}
	}
	return nil
}

var errDeclined = errors.New("declined")
