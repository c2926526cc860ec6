package recovery

import (
	"crypto/rand"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/datadir"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/raftlog"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
)

// RestoreOptions of [Restore]; the zero value is fit for use.
type RestoreOptions struct {
	FS      vfs.FS // nil: vfs.Default
	Name    string // of the member; the start of it must give the same
	Cluster string // name of the cluster that begins
}

// Restored is what Restore has made.
type Restored struct {
	Dir       string            `json:"dir"`
	Name      string            `json:"name"`
	ID        cluster.NodeID    `json:"id"`
	Cluster   string            `json:"cluster"`
	ClusterID cluster.ClusterID `json:"cluster_id"`
	Index     uint64            `json:"index"` // of the log at which it begins
}

// Restore makes the data directory of a node that has founded a cluster of its
// own and holds an image of the machine from elsewhere: that of a backup. image
// writes it into the empty directory it is given, and returns the index that the
// machine will say it is at, which is 2 or more.
//
// The cluster is a new one, with an ID that nobody else has: members of the one
// that the image is of are refused, as members of any other cluster. Others join
// it with empty directories.
//
// It is all or nothing: until it returns no node starts on the directory. Then
// it survives power loss. Errors: those of package datadir (the directory is to
// be empty or missing) and of image.
func Restore(dir string, opt RestoreOptions, image func(dir string) (index uint64, err error)) (Restored, error) {
	out := Restored{Name: opt.Name, Cluster: opt.Cluster}
	_, err := datadir.Assemble(dir, datadir.Options{FS: opt.FS, Name: opt.Name}, func(d *datadir.Dir) error {
		inc := d.Identity().Incarnation
		self := wire.Identity{Incarnation: inc, NodeID: inc.NodeID(), Name: opt.Name}
		nonce := make([]byte, 16)
		_, _ = rand.Read(nonce) // never fails: crypto/rand ends the program instead
		raw := wire.Genesis{Protocol: wire.Protocol, Cluster: opt.Cluster, Founders: []wire.Identity{self}, Nonce: nonce}.Encode()
		out.ID, out.ClusterID = self.NodeID, wire.GenesisID(raw)
		var err error
		if out.Index, err = found(d, raw, image); err != nil {
			return err
		}
		return d.SaveState(member.State{
			Durable: formation.Durable{Stage: wire.InCluster, Genesis: raw, ClusterID: out.ClusterID, Founded: true},
			Begun:   true,
		})
	})
	out.Dir = dir
	return out, err
}

// found writes snapshot and log of a cluster that begins with the image.
func found(d *datadir.Dir, raw []byte, image func(string) (uint64, error)) (uint64, error) {
	g, err := wire.DecodeGenesis(raw)
	if err != nil {
		return 0, err
	}
	images, err := snapshot.Open(d.SnapshotPath(), d.FS())
	if err != nil {
		return 0, fmt.Errorf("open snapshots: %w", err)
	}
	draft, err := images.Draft()
	if err != nil {
		return 0, err
	}
	defer draft.Abort()
	index, err := image(draft.Dir())
	switch {
	case err != nil:
		return 0, err
	case index <= member.GenesisIndex:
		return 0, fmt.Errorf("an image at index %d is that of a cluster's beginning, which holds nothing", index)
	}
	meta := snapshot.Meta{
		Index: index, Term: member.GenesisTerm, Membership: g.Membership(wire.GenesisID(raw)),
		ConfState: &raftpb.ConfState{Voters: []uint64{uint64(g.Founders[0].NodeID)}},
	}
	if _, err := draft.Commit(meta); err != nil {
		return 0, err
	}
	log, err := raftlog.Open(d.LogPath(), raftlog.Options{FS: d.FS()})
	if err != nil {
		return 0, fmt.Errorf("open log: %w", err)
	}
	err = log.Append([]raftlog.Batch{{
		Reset:     &raftlog.Mark{Index: index, Term: meta.Term},
		HardState: &raftpb.HardState{Term: new(meta.Term), Commit: new(index)}, Sync: true,
	}})
	if cerr := log.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return 0, fmt.Errorf("begin the log: %w", err)
	}
	return index, nil
}
