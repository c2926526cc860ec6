package member

import (
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/replica"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
)

// Body is what a member moves with. All its methods are called on the loop,
// return at once, and call done, where there is one, on the loop later: once,
// or never when the node has ended.
type Body interface {
	Network
	Workers
	Watcher
}

// Network reaches others.
type Network interface {
	// Send puts a batch on its way. It may be lost.
	Send(to cluster.NodeID, b *wire.Batch)
	// SetPeers says whom Send reaches where.
	SetPeers(addrs map[cluster.NodeID]string)
	// Call asks whoever is at addr, or nobody but the member with that ID when
	// it is not 0. A peer that wants nothing of this node is a *wire.Refusal.
	Call(addr string, to cluster.NodeID, req wire.Request, patience time.Duration, done func(wire.Response, wire.Hello, error))
	// Stream sends an image, with the raft message that goes with it. nil
	// means that the receiver has all of it.
	Stream(to cluster.NodeID, img *snapshot.Image, m *raftpb.Message, done func(error))
}

// Workers do what takes time.
type Workers interface {
	Append(AppendJob) // for [Writer], in order
	Apply(ApplyJob)   // for [Applier], in order
	// Later does work off the loop, and then calls done.
	Later(work, done func())
}

// Watcher hears what becomes of the member.
type Watcher interface {
	Changed(*View)
	Progress(applied, committed uint64) // often: after each round of effects
	Dropped(replica.Dropped)            // proposals that certainly didn't happen
	Released(replica.ReadDone)
	Emit(event.Event)
	Warn(text string, err error) // of what goes on in spite of it
	Fail(error)                  // the member has ended
}

// CallPatience bounds one question to another node.
const CallPatience = 3 * time.Second
