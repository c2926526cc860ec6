package muster

import (
	"errors"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
)

// whyStopped is why a node of that name has stopped by itself, and what can be
// done.
func whyStopped(err error, name string) event.Reason {
	r := event.Reason{Code: "stopped", Text: "this node has stopped: " + err.Error(),
		WayOut: "mend the cause, and start it again on its data directory"}
	switch {
	case errors.Is(err, ErrRemoved):
		r.Code = "removed"
		r.WayOut = "its directory stays as it is and can't be used again: to come back, start with an empty one"
	case errors.Is(err, ErrRolledBack):
		r.Code, r.WayOut = "rolled_back", wire.RefusedRolledBack.WayOut(name)
		r.Text = strings.TrimSuffix(r.Text, "; "+r.WayOut)
	case errors.Is(err, ErrOldGeneration):
		r.Code, r.WayOut = "old_generation", wire.RefusedOldGeneration.WayOut("")
		r.Text = strings.TrimSuffix(r.Text, "; "+r.WayOut)
	case errors.Is(err, ErrDisk) && (vfs.IsNoSpaceError(err) || errors.Is(err, snapshot.ErrNoSpace)):
		r.Code = "disk_full"
		r.WayOut = "free some space on the disk of its data directory, and start it again: what was acknowledged is there"
	case errors.Is(err, ErrDisk):
		r.Code = "disk_failed"
		r.WayOut = "look at the system's log for the disk's errors. If the disk is sound, start the node again on its directory; else remove the member, and start a new one on another disk"
	case errors.Is(err, ErrData):
		r.Code = "data_damaged"
		r.WayOut = "put the file back from a copy of this very directory, or remove the member and start it with an empty directory"
	}
	return r
}
