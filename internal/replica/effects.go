package replica

import (
	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// Effects is what the body has to do, drained by [Replica.Effects]. Slices are
// in the order in which things are to be done; Send may go out at once.
type Effects struct {
	Send      []Outgoing
	Append    []Append
	Apply     []Apply
	Snapshots []*raftpb.Message // MsgSnap: stream the image, then SnapshotSent
	Dropped   []Dropped         // proposals that certainly didn't happen
	Reads     []ReadDone
	Answers   []Answer
	Ask       []wire.Change // changes to ask the leader for, on this member's own behalf
	Events    []event.Event

	TakeSnapshot bool               // a follower needs an image newer than the newest
	Members      bool               // the membership has changed
	Removed      *cluster.Tombstone // this member is out, for good
	Forgot       *Forgot            // this member must end: its disk is not what it was
}

// Forgot says that the leader has this member's word for entries that its log
// doesn't hold.
type Forgot struct {
	Leader cluster.NodeID
	Acked  uint64 // through this index
	Last   uint64 // of the log
}

// Outgoing is one batch for one peer.
type Outgoing struct {
	To    cluster.NodeID
	Batch *wire.Batch
}

// Append is one job of the log writer.
type Append struct {
	Entries   []*raftpb.Entry
	HardState *raftpb.HardState // nil: unchanged
	Snapshot  *raftpb.Snapshot  // not nil: the log begins after it, and the machine is restored from its image before the job is done
	Sync      bool              // must survive power loss before it is done
	Durable   []Outgoing        // to be sent once it is done
	confirms  bool              // that a configuration is committed; see Replica.confirms
	self      []*raftpb.Message // stepped by Appended
}

// Apply is one job of the applier.
type Apply struct {
	Entries []*raftpb.Entry // consecutive, never empty
	self    []*raftpb.Message
}

// Through is the index of the last entry.
func (a Apply) Through() uint64 { return a.Entries[len(a.Entries)-1].GetIndex() }

// Dropped says that proposals numbered First on, Count of them, certainly did
// not happen and will not.
type Dropped struct {
	First      uint64
	Count      uint64
	Overloaded bool // else: no leader has put it into the log
}

// ReadDone releases a read: the machine has applied everything that was
// committed when the read was asked for.
type ReadDone struct {
	Token uint64
	Index uint64 // applied
}

// Answer answers a change or join by its token.
type Answer struct {
	Token  uint64
	Change wire.ChangeReply
}
