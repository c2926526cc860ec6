package recovery

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/datadir"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/raftlog"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
)

// ErrUnfit says that a cluster can't be re-formed around this directory; the
// text says why, and what to do instead. Nothing was changed.
var ErrUnfit = errors.New("this directory can't go on alone")

// Options of all that is done here; the zero value is fit for use.
type Options struct {
	FS vfs.FS // nil: vfs.Default

	// Cluster is the name of the cluster that is meant, a guard against the
	// wrong directory; "": any.
	Cluster string
	// Outdated takes a directory, too, of which is known that the cluster was
	// re-formed without it: when that was a mistake. Its generation is then
	// beyond that one's, which is given up in its turn.
	Outdated bool
}

// Report is what a stopped member's directory holds.
type Report struct {
	Dir         string              `json:"dir"`
	Name        string              `json:"name"`
	ID          cluster.NodeID      `json:"id"`
	Incarnation cluster.Incarnation `json:"incarnation"`
	Epoch       uint64              `json:"epoch"` // boots so far

	Cluster    string            `json:"cluster,omitempty"` // its name; "" when the node is in none, or has heard nothing of it yet
	ClusterID  cluster.ClusterID `json:"cluster_id"`
	Generation uint64            `json:"generation"`
	Stage      string            `json:"stage"` // blank, promised, accepted, member or removed

	Term      uint64 `json:"term"` // the highest that it has heard of
	LastTerm  uint64 `json:"last_term"`
	LastIndex uint64 `json:"last_index"`
	First     uint64 `json:"first_index"` // in the log; what is before is in the snapshot
	Committed uint64 `json:"committed"`   // known here; what lies above may have been committed, too
	Snapshot  uint64 `json:"snapshot"`    // index of the newest; 0: none

	// Members are as of the log's end, whether or not that is committed.
	Members []cluster.Member    `json:"members"`
	Removed []cluster.Tombstone `json:"removed,omitempty"`
	Joint   bool                `json:"joint"` // it ends in a joint configuration

	// Outdated says how it is known that the cluster was re-formed without it.
	Outdated string `json:"outdated,omitempty"`
	Unfit    string `json:"unfit,omitempty"` // why no cluster can be re-formed around it; "": it can
}

// Role is this member's own as of the log's end; 0: it is no member then.
func (r *Report) Role() cluster.Role {
	m := cluster.Membership{Members: r.Members}
	self, _ := m.Member(r.ID)
	return self.Role
}

// Compare is positive when r is the better one to re-form the cluster around:
// whoever has the last entry of the highest term, and then the longest log, has
// all that was ever committed as far as any of those compared has it (Raft
// thesis §3.6.1).
func (r *Report) Compare(o *Report) int {
	return cmp.Or(cmp.Compare(r.Generation, o.Generation), cmp.Compare(r.LastTerm, o.LastTerm), cmp.Compare(r.LastIndex, o.LastIndex))
}

// Outcome is what ForceNew has done.
type Outcome struct {
	Report                      // as of after it
	Kept    uint64              `json:"kept"`    // index of the last entry that was there before
	Unknown uint64              `json:"unknown"` // entries up to there that were not known to be committed; they are now
	Lost    []cluster.Tombstone `json:"lost"`    // members given up, sorted by ID
	Before  bool                `json:"before"`  // it was done by an earlier call already; nothing was written
}

// Inspect reads the directory of a node that doesn't run. It does what a start
// does to a directory before all else, and changes nothing of what it holds.
// Errors: those of packages datadir, raftlog and snapshot; among them
// [datadir.ErrInUse] while the node runs.
func Inspect(dir string, opt Options) (Report, error) {
	p, err := open(dir, opt)
	if err != nil {
		return Report{}, err
	}
	r := p.report()
	return r, p.close()
}

// ForceNew re-forms the cluster around the member whose directory this is; see
// the package's text. Everything else that is to be taken into account has to be
// by the caller, with Inspect.
//
// On return it survives power loss. When it fails in between, or the power goes,
// it either has not happened, or will have when the member is started or this is
// called again, which does no harm. Errors: [ErrUnfit], and those of Inspect.
func ForceNew(dir string, opt Options) (Outcome, error) {
	p, err := open(dir, opt)
	if err != nil {
		return Outcome{}, err
	}
	out, err := p.forceNew(opt)
	if cerr := p.close(); err == nil {
		err = cerr
	}
	return out, err
}

// patient is a directory on the table.
type patient struct {
	dir  *datadir.Dir
	log  *raftlog.Log
	self wire.Identity
	held member.Held
}

func open(path string, opt Options) (*patient, error) {
	dir, err := datadir.Open(path, datadir.Options{FS: opt.FS, Still: true})
	if err != nil {
		return nil, err
	}
	p := &patient{dir: dir}
	if err := p.read(); err != nil {
		_ = p.close() // the error that matters is the one that led here
		return nil, err
	}
	return p, nil
}

func (p *patient) read() error {
	id := p.dir.Identity()
	p.self = wire.Identity{Incarnation: id.Incarnation, NodeID: id.Incarnation.NodeID(), Name: id.Name}
	var err error
	if p.log, err = raftlog.Open(p.dir.LogPath(), raftlog.Options{FS: p.dir.FS()}); err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	images, err := snapshot.Open(p.dir.SnapshotPath(), p.dir.FS())
	if err != nil {
		return fmt.Errorf("open snapshots: %w", err)
	}
	p.held, err = member.Look(p.self, p.log, images, p.dir)
	return err
}

// reread looks at what was written, as the next to open it would.
func (p *patient) reread() error {
	if err := p.log.Close(); err != nil {
		return err
	}
	p.log = nil
	return p.read()
}

func (p *patient) close() error {
	var err error
	if p.log != nil {
		err = p.log.Close()
	}
	return errors.Join(err, p.dir.Close())
}

func (p *patient) report() Report {
	h, id := &p.held, p.dir.Identity()
	all := &h.Replayed.Membership
	r := Report{
		Dir: p.dir.Path(), Name: id.Name, ID: p.self.NodeID, Incarnation: id.Incarnation, Epoch: id.Epoch,
		Cluster: all.Cluster, ClusterID: h.State.ClusterID, Generation: max(all.Generation, h.State.Generation),
		Stage: string(cmp.Or(h.State.Stage, wire.Blank)),
		Term:  h.Term, LastTerm: h.LastTerm, LastIndex: h.Last, First: h.First, Committed: h.Commit, Snapshot: h.Image,
		Members: all.Members, Removed: all.Removed, Joint: h.Replayed.Joint,
	}
	r.Outdated = h.State.Outdated
	r.Unfit = p.unfit(&r)
	return r
}

// outdated is what can be overruled.
const outdated = "the cluster was re-formed without it: take a member of the new one, unless that was a mistake"

// unfit says why the cluster can't be re-formed around it, or "".
func (p *patient) unfit(r *Report) string {
	h := &p.held
	switch {
	case h.State.Stage == wire.Removed:
		return fmt.Sprintf("it was removed from the cluster at index %d: take another member's", h.State.Tombstone)
	case h.State.Stage != wire.InCluster:
		return "it was never a member of a cluster, so there is nothing to keep: start it anew"
	case h.State.RolledBack != "":
		return "its disk is not trusted: " + h.State.RolledBack
	case h.Image == 0:
		return "it holds no snapshot and no log, so it knows nothing of what the cluster held: take another member's"
	case h.Replayed.Removed != nil || r.Role() == 0:
		return "its log holds its own removal: take another member's"
	case h.State.Outdated != "":
		return outdated
	}
	return ""
}

func (p *patient) forceNew(opt Options) (Outcome, error) {
	r := p.report()
	if opt.Outdated && r.Unfit == outdated {
		r.Unfit = ""
	}
	name := opt.Cluster
	switch {
	case r.Unfit != "":
		return Outcome{Report: r}, fmt.Errorf("%w: %s", ErrUnfit, r.Unfit)
	case name != "" && name != r.Cluster:
		return Outcome{Report: r}, fmt.Errorf("%w: it is of cluster %q, not %q: look again which directory this is", ErrUnfit, r.Cluster, name)
	}
	out := Outcome{Before: p.held.Done()}
	if !out.Before {
		if err := p.held.Begin(p.self.NodeID, p.log, p.dir); err != nil {
			return Outcome{Report: r}, err
		}
	}
	index := p.held.State.Reform.Index
	out.Kept, out.Unknown = index-1, p.held.State.Reform.Unknown
	if err := p.reread(); err != nil {
		return Outcome{Report: r}, err
	}
	out.Report = p.report()
	for _, t := range out.Removed {
		if t.Index == index {
			out.Lost = append(out.Lost, t)
		}
	}
	return out, nil
}
