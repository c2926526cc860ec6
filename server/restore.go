package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/internal/backup"
	"github.com/musterhq/muster/kv"
)

// RestoreOptions say what a snapshot becomes. The zero value is fit for use.
type RestoreOptions struct {
	Name, Cluster string // see muster.RestoreOptions

	// BumpRevision and MarkCompacted are kv.FoundingOptions.
	BumpRevision  int64
	MarkCompacted bool
}

// Restore makes of a snapshot, a file as Maintenance.Snapshot sends it, the data
// directory of a node that is a new cluster with that content. See
// [muster.Restore]. The errors are also those of package backup for a file that is damaged.
func Restore(file, dir string, opt RestoreOptions) (muster.Restoration, error) {
	var out muster.Restoration
	err := readBackup(file, func(r io.Reader) (err error) {
		out, err = muster.Restore(dir, muster.RestoreOptions{Name: opt.Name, Cluster: opt.Cluster}, func(image string) (uint64, error) {
			if _, err := backup.Extract(r, vfs.Default, image); err != nil {
				return 0, fmt.Errorf("%s: %w", file, err)
			}
			return kv.PrepareFounding(vfs.Default, image, kv.FoundingOptions{BumpRevision: opt.BumpRevision, MarkCompacted: opt.MarkCompacted})
		})
		return err
	})
	return out, err
}

// SnapshotStatus is what a snapshot holds.
type SnapshotStatus struct {
	Hash      uint32 `json:"hash"` // as Maintenance.HashKV of its revision
	Revision  int64  `json:"revision"`
	Compacted int64  `json:"compacted"` // history up to there is compacted; -1: none is
	Keys      int64  `json:"keys"`      // that are there, at the revision
	Versions  int64  `json:"versions"`  // that may be read, of all keys
	Bytes     int64  `json:"bytes"`     // of the file
}

// InspectSnapshot checks a snapshot and says what it holds. It takes it apart in
// a temporary directory (TMPDIR), which has to have as much room as the file takes.
func InspectSnapshot(ctx context.Context, file string) (s SnapshotStatus, err error) {
	dir, err := os.MkdirTemp("", "muster-snapshot-")
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	err = readBackup(file, func(r io.Reader) error {
		if _, err := backup.Extract(r, vfs.Default, dir); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		return nil
	})
	if err != nil {
		return s, err
	}
	info, err := kv.InspectImage(ctx, vfs.Default, dir)
	if err != nil {
		return s, fmt.Errorf("%s: %w", file, err)
	}
	st, err := os.Stat(file)
	if err != nil {
		return s, err
	}
	return SnapshotStatus{
		Hash: info.Hash.Sum, Revision: info.Revision, Compacted: info.Compacted,
		Keys: info.Keys, Versions: info.Versions, Bytes: st.Size(),
	}, nil
}

// VerifySnapshot reads the whole file and compares its checksums.
func VerifySnapshot(file string) error {
	return readBackup(file, func(r io.Reader) error {
		if _, err := backup.Verify(r); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		return nil
	})
}

func readBackup(file string, read func(io.Reader) error) (err error) {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return read(bufio.NewReaderSize(f, 1<<20))
}
