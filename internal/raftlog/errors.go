package raftlog

import (
	"errors"
	"fmt"
	"os"
)

var (
	// ErrFailed is wrapped by every error of Append, Compact and Close after
	// a write or fsync failed. What the failed call was to store is there, or
	// not, or in part: nobody knows until the next Open.
	ErrFailed = errors.New("the raft log failed and accepts nothing more; fix the disk, then restart the node")

	// ErrClosed says that the Log was closed.
	ErrClosed = errors.New("the raft log is closed")

	// ErrTooLarge says that one Append exceeds [MaxAppendBytes]. Nothing was
	// written, the Log goes on.
	ErrTooLarge = errors.New("too large for one append to the raft log")
)

// CorruptError says that bytes which were once synced can't be read back. The
// log is left as it is. The way out is to restore the file, or to give up this
// member's disk and let it join anew.
type CorruptError struct {
	File   string // path of the segment
	Offset int64  // bytes from its start
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("raft log damaged: %s at byte %d: %s; restore the file, or remove this member and join it again with an empty data directory",
		e.File, e.Offset, e.Reason)
}

// onFile says what was being done to which file, unless err does.
func onFile(doing, path string, err error) error {
	if _, ok := errors.AsType[*os.PathError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*os.LinkError](err); ok {
		return err
	}
	return fmt.Errorf("%s %s: %w", doing, path, err)
}
