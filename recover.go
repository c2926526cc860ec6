package muster

import "github.com/musterhq/muster/internal/recovery"

// Inspection is what the directory of a node that doesn't run holds.
type Inspection = recovery.Report

// Reformation is what ForceNew has done.
type Reformation = recovery.Outcome

// Inspect reads the directory of a node that doesn't run, and changes nothing of
// what it holds. It needs no state machine. Errors: ErrData (in use while the
// node runs, no such directory of muster's, damaged), ErrDisk.
func Inspect(dir string) (Inspection, error) {
	r, err := recovery.Inspect(dir, recovery.Options{})
	return r, sorted(err)
}

// ForceNewOptions of ForceNew; the zero value is fit for use.
type ForceNewOptions struct {
	// Cluster is the name of the cluster that is meant, a guard against the
	// wrong directory. Default: any.
	Cluster string
	// Outdated allows a directory that ErrOldGeneration is about: the cluster was
	// re-formed around another member by mistake. That one is given up in turn.
	Outdated bool
}

// ForceNew re-forms a cluster whose majority was lost for good around one
// member, whose node doesn't run. The member keeps all that its log holds, also
// what was not known to be committed, and becomes the only voter of the cluster's
// next generation when it is started again, with Config as before. All others
// are given up: whoever has still a disk of theirs is refused when it meets the
// cluster, and stops with ErrOldGeneration; with empty directories they may join.
//
// What others had acknowledged and this member's log doesn't hold is lost. Take
// the survivor that compares highest ([Inspection.Compare]), and be sure that
// the others don't run: while they are a majority they can't know.
//
// It is all or nothing: on return it survives power loss, and after a
// crash or an error in between calling it again finishes what was begun. Errors:
// ErrData, ErrDisk.
func ForceNew(dir string, opt ForceNewOptions) (Reformation, error) {
	out, err := recovery.ForceNew(dir, recovery.Options{Cluster: opt.Cluster, Outdated: opt.Outdated})
	return out, sorted(err)
}
