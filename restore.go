package muster

import (
	"fmt"
	"os"

	"github.com/musterhq/muster/internal/recovery"
)

// Restoration is what Restore has made.
type Restoration = recovery.Restored

// RestoreOptions of Restore; the zero value is fit for use.
type RestoreOptions struct {
	Name    string // of the member, as Config.Name. Default: the host name
	Cluster string // name of the new cluster, as Config.Cluster. Default "muster"
}

// Restore makes the data directory of a node that is a cluster of its own and
// whose machine holds what image writes: the content of a backup. image is given
// an empty directory, writes there what [statemachine.Machine.Checkpoint] would,
// and returns the index that the machine is at after a Machine.Restore of it, 2
// or more. Start the node with Config as ever; other nodes join it with empty
// directories. Restore it on one node only: each call makes a cluster of its own.
//
// The cluster's ID is a new one, so that members of the cluster that the backup
// is of are refused. dir is to be missing or empty. It is all or nothing: until
// it returns no node starts on the directory, and then it survives power loss;
// what was cut short is cleared by calling it again. Errors: ErrData, ErrDisk,
// those of image.
func Restore(dir string, opt RestoreOptions, image func(dir string) (index uint64, err error)) (Restoration, error) {
	if opt.Cluster == "" {
		opt.Cluster = "muster"
	}
	if opt.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return Restoration{}, fmt.Errorf("%w: this machine has no host name; name the member: %w", ErrConfig, err)
		}
		opt.Name = host
	}
	r, err := recovery.Restore(dir, recovery.RestoreOptions{Name: opt.Name, Cluster: opt.Cluster}, image)
	return r, sorted(err)
}
