package datadir

import (
	"errors"
	"fmt"

	"github.com/musterhq/muster/cluster"
)

var (
	// ErrInUse is wrapped when another process, or another node of this one,
	// holds the directory.
	ErrInUse = errors.New("data directory is in use")
	// ErrForeign is wrapped when the directory holds files but no identity.
	ErrForeign = errors.New("not a muster data directory")
	// ErrOtherNode is wrapped when the directory belongs to a node of another
	// name; see [OtherNodeError].
	ErrOtherNode = errors.New("data directory of another node")
	// ErrDamaged is wrapped when a file of ours can't be believed.
	ErrDamaged = errors.New("damaged file")
	// ErrFailed is wrapped by every use of a document after one that could not
	// be made durable: what the disk has is known only after the next Open.
	ErrFailed = errors.New("the data directory failed; fix the disk, then restart the node")
	// ErrClosed says that the Dir was closed.
	ErrClosed = errors.New("the data directory is closed")
)

// OtherNodeError says whose directory it is.
type OtherNodeError struct {
	Path string
	Want string // the name that Open was given
	Name string // the name that the directory has
	ID   cluster.NodeID
}

func (e *OtherNodeError) Error() string {
	return fmt.Sprintf("%s is the %s: it belongs to %q (member %s), not to %q; start %q with a directory of its own, or this one under the name %q",
		e.Path, ErrOtherNode, e.Name, e.ID, e.Want, e.Want, e.Name)
}

// Is makes errors.Is(err, ErrOtherNode) true.
func (e *OtherNodeError) Is(target error) bool { return target == ErrOtherNode }

func damaged(path, reason string) error {
	return fmt.Errorf("%w %s: %s; restore it from a backup of this disk, or remove this member and join again with an empty directory",
		ErrDamaged, path, reason)
}
