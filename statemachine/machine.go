// Package statemachine is the contract between the log and what it drives.
//
// It holds no code of the cluster: an embedder implements [Machine] (state on
// disk) or [Memory] (state in memory, see [InMemory]) and gives it to
// muster.Start. The same committed commands reach every member's machine in
// the same order; a machine must be deterministic.
package statemachine

// Entry is one committed command.
type Entry struct {
	Index   uint64 // index of the raft entry that carries it; several commands may share one
	Command []byte // as proposed; not kept or changed by the machine after Apply returns
	Wanted  bool   // a caller on this member waits for the result; must not influence the state
}

// Result is what a command returns to whoever proposed it, on that member
// only. It never crosses the wire, so it may be any value.
type Result any

// Machine is driven by one goroutine: Open first, then Apply, Checkpoint and
// Restore one at a time, Close last. Only Durable and, where implemented,
// Prepare may overlap the others. Reads by the embedder go around the contract
// and are the machine's own business to synchronise with Apply.
//
// An error from any method but Open stops the node: what a machine could not
// apply can't be skipped.
type Machine interface {
	// Open loads the state kept in dir, an existing directory that is the
	// machine's own, and returns the index up to which that state holds every
	// entry: 0 when it is empty.
	Open(dir string) (applied uint64, err error)

	// Apply carries out whole raft entries, in order, all above what was
	// applied before. It returns one result per entry, same order. The
	// machine stores through, which is at least the last entry's Index,
	// atomically with the effects; entries may be empty, when only entries
	// that are none of the machine's business were committed. Nothing needs
	// to be synced: after a crash the log is applied again from what Open returns.
	Apply(through uint64, entries []Entry) ([]Result, error)

	// Checkpoint writes an image of the state as of the last Apply into dir,
	// an existing empty directory (subdirectories are allowed; hard links to
	// immutable files are welcome). The files never change afterwards and
	// need not be synced: the caller does that.
	Checkpoint(dir string) error

	// Restore replaces the whole state by the image in dir, which Checkpoint
	// wrote on some member, and returns when it survives power loss. dir
	// stays the caller's; it is not changed, and may be hard-linked from. A
	// crash in between leaves the old state, the new one, or one for which
	// Open returns an index lower than the image's; it is then repeated.
	Restore(dir string, through uint64) error

	// Durable returns the index up to which the state survives power loss.
	Durable() (uint64, error)

	Close() error
}

// Preparer is implemented by machines that can make a coming Checkpoint
// cheap. Prepare is called before it from another goroutine and may overlap
// Apply.
type Preparer interface {
	Prepare() error
}

// Sized is implemented by machines whose images share files with them: an image
// then keeps on disk what the machine has given up since it was taken.
type Sized interface {
	// ImageBytes is about how large an image would be now. settled is false
	// while the machine is about to become smaller by itself. It is called every
	// few seconds from another goroutine, and may overlap Apply.
	ImageBytes() (size int64, settled bool)
}
