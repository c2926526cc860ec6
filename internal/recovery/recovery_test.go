package recovery

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/internal/datadir"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/raftlog"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
)

const path = "/data"

// entry is one entry of a member's log: a command, or a configuration change.
type entry struct {
	term  uint64
	steps []wire.Step
	leave bool // leaves a joint configuration
}

// lay writes the directory of the first of five voters: an image at index 1,
// the entries, and a commit index.
func lay(t *testing.T, entries []entry, commit uint64) (*crashfs.FS, []cluster.Member) {
	t.Helper()
	fs := crashfs.New()
	d, err := datadir.Open(path, datadir.Options{FS: fs, Rand: rand.NewChaCha8([32]byte{1}), Name: "n1"})
	check(t, err)
	inc := d.Identity().Incarnation
	all := []cluster.Member{{ID: inc.NodeID(), Incarnation: inc, Name: "n1", PeerAddr: "n1:1", Role: cluster.Voter}}
	for i := 2; i <= 5; i++ {
		inc := cluster.Incarnation{byte(i)}
		all = append(all, cluster.Member{ID: inc.NodeID(), Incarnation: inc, Name: fmt.Sprint("n", i), PeerAddr: "x:1", Role: cluster.Voter})
	}
	m := cluster.Membership{Cluster: "c", ID: cluster.ClusterID{7}}
	conf := &raftpb.ConfState{}
	for _, mem := range all {
		m.Put(mem)
		conf.Voters = append(conf.Voters, uint64(mem.ID))
	}
	check(t, d.SaveState(member.State{Durable: formation.Durable{Stage: wire.InCluster, ClusterID: m.ID, Founded: true}, Begun: true}))
	images, err := snapshot.Open(d.SnapshotPath(), fs)
	check(t, err)
	draft, err := images.Draft()
	check(t, err)
	_, err = draft.Commit(snapshot.Meta{Index: 1, Term: 1, ConfState: conf, Membership: m})
	check(t, err)
	log, err := raftlog.Open(d.LogPath(), raftlog.Options{FS: fs})
	check(t, err)
	b := raftlog.Batch{Reset: &raftlog.Mark{Index: 1, Term: 1}, Sync: true}
	term := uint64(1)
	for i, e := range entries {
		b.Entries = append(b.Entries, e.encode(t, uint64(i)+2, all))
		term = e.term
	}
	b.HardState = &raftpb.HardState{Term: new(term), Vote: new(uint64(all[1].ID)), Commit: new(commit)}
	check(t, log.Append([]raftlog.Batch{b}))
	check(t, log.Close())
	check(t, d.Close())
	return fs, all
}

func (e entry) encode(t *testing.T, index uint64, all []cluster.Member) *raftpb.Entry {
	t.Helper()
	out := &raftpb.Entry{Index: new(index), Term: new(e.term)}
	if e.leave || e.steps != nil {
		cc := &raftpb.ConfChangeV2{}
		if e.steps != nil {
			cc.Context = wire.EncodeChange(wire.Change{Request: fmt.Sprint("r", index), Steps: e.steps})
		}
		for _, s := range e.steps {
			typ := raftpb.ConfChangeAddLearnerNode
			if s.Op == wire.OpRemove {
				typ = raftpb.ConfChangeRemoveNode
			}
			cc.Changes = append(cc.Changes, &raftpb.ConfChangeSingle{Type: typ.Enum(), NodeId: new(uint64(s.Member.ID))})
		}
		out.Type = raftpb.EntryConfChangeV2.Enum()
		if !e.leave {
			typ, data, err := raftpb.MarshalConfChange(cc)
			check(t, err)
			out.Type, out.Data = typ.Enum(), data
		}
		return out
	}
	out.Data = wire.AppendGroup([]byte{byte(wire.EntryCommands)}, wire.RequestID{Origin: all[0].ID, Seq: index}, [][]byte{fmt.Append(nil, "command ", index)})
	return out
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ids(ms []cluster.Member) (out []cluster.NodeID) {
	for _, m := range ms {
		out = append(out, m.ID)
	}
	return out
}

// logOf reads what the directory's log holds.
func logOf(t *testing.T, fs *crashfs.FS) []*raftpb.Entry {
	t.Helper()
	log, err := raftlog.Open(path+"/log", raftlog.Options{FS: fs})
	check(t, err)
	defer log.Close()
	es, err := log.Entries(log.FirstIndex(), log.LastIndex()+1, 1<<30)
	check(t, err)
	return es
}

// The log's tail may hold changes of the configuration, and may end in a joint
// one. Whatever it holds is kept, and this member alone is left.
func TestForceNew(t *testing.T) {
	learner := cluster.Member{ID: 99, Incarnation: cluster.Incarnation{9}, Name: "n6", PeerAddr: "x:6"}
	plain := []entry{{term: 1}, {term: 2}, {term: 2}}
	all := func() []cluster.Member { _, all := lay(t, nil, 1); return all }()
	demote := func(i int) wire.Step {
		return wire.Step{Op: wire.OpDemote, Member: cluster.Member{ID: all[i].ID}}
	}
	remove := func(i int) wire.Step {
		return wire.Step{Op: wire.OpRemove, Member: cluster.Member{ID: all[i].ID}}
	}
	for _, c := range []struct {
		name  string
		tail  []entry
		joint bool
		lost  int // members given up
		unfit bool
	}{
		{name: "commands", lost: 4},
		{name: "a learner was added", tail: []entry{{term: 2, steps: []wire.Step{{Op: wire.OpAdd, Member: learner}}}}, lost: 5},
		{name: "joint", tail: []entry{{term: 2, steps: []wire.Step{demote(1), remove(2)}}}, joint: true, lost: 3},
		{name: "joint was left", tail: []entry{{term: 2, steps: []wire.Step{demote(1), remove(2)}}, {term: 2, leave: true}}, lost: 3},
		{name: "demoted itself", tail: []entry{{term: 2, steps: []wire.Step{demote(0)}}}, lost: 4},
		{name: "removed itself", tail: []entry{{term: 2, steps: []wire.Step{remove(0)}}}, unfit: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs, all := lay(t, slices.Concat(plain, c.tail), 2)
			before := logOf(t, fs)
			r, err := Inspect(path, Options{FS: fs})
			check(t, err)
			if r.Joint != c.joint || (r.Unfit != "") != c.unfit || r.Committed != 2 || r.LastTerm != 2 || r.Cluster != "c" || r.Generation != 0 {
				t.Fatalf("before: %+v", r)
			}
			out, err := ForceNew(path, Options{FS: fs, Cluster: "c"})
			if c.unfit {
				if !errors.Is(err, ErrUnfit) {
					t.Fatalf("it was re-formed: %+v, %v", out, err)
				}
				return
			}
			check(t, err)
			last := uint64(len(before)) + 1
			if out.Before || out.Kept != last || out.Unknown != last-2 || len(out.Lost) != c.lost {
				t.Fatalf("outcome %+v", out)
			}
			if out.Generation != 1 || out.Term != 3 || out.LastIndex != last+1 || out.Committed != last+1 || out.Joint ||
				len(out.Members) != 1 || out.Role() != cluster.Voter || out.ID != all[0].ID {
				t.Fatalf("after: %+v", out.Report)
			}
			after := logOf(t, fs)
			for i, e := range before {
				if a := after[i]; a.GetTerm() != e.GetTerm() || a.GetType() != e.GetType() || !bytes.Equal(a.GetData(), e.GetData()) {
					t.Fatalf("entry %d is another than before", e.GetIndex())
				}
			}
			again, err := ForceNew(path, Options{FS: fs, Cluster: "c"})
			check(t, err)
			if !again.Before || again.LastIndex != out.LastIndex || again.Generation != 1 || len(again.Lost) != c.lost {
				t.Fatalf("again: %+v", again)
			}
		})
	}
}

// What is no member's directory, or not the one that was meant, stays as it is.
func TestForceNewRefuses(t *testing.T) {
	fs, _ := lay(t, []entry{{term: 1}}, 1)
	if _, err := ForceNew(path, Options{FS: fs, Cluster: "other"}); !errors.Is(err, ErrUnfit) {
		t.Errorf("another cluster's: %v", err)
	}
	d, err := datadir.Open(path, datadir.Options{FS: fs})
	check(t, err)
	epoch := d.Identity().Epoch
	if _, err := ForceNew(path, Options{FS: fs, Cluster: "c"}); !errors.Is(err, datadir.ErrInUse) {
		t.Errorf("while the node runs: %v", err)
	}
	var s member.State
	_, err = d.LoadState(&s)
	check(t, err)
	for _, c := range []func(*member.State){
		func(s *member.State) { s.Stage = wire.Removed },
		func(s *member.State) { s.Stage = wire.Accepted },
		func(s *member.State) { s.RolledBack = "so they say" },
		func(s *member.State) { s.Outdated = "so they say" },
	} {
		next := s
		c(&next)
		check(t, d.SaveState(next))
		check(t, d.Close())
		if _, err := ForceNew(path, Options{FS: fs, Cluster: "c"}); !errors.Is(err, ErrUnfit) {
			t.Errorf("%+v: %v", next, err)
		}
		d, err = datadir.Open(path, datadir.Options{FS: fs, Still: true})
		check(t, err)
	}
	if d.Identity().Epoch != epoch {
		t.Errorf("looking at it counts as a boot: epoch %d, was %d", d.Identity().Epoch, epoch)
	}
	check(t, d.Close())
	if len(logOf(t, fs)) != 1 {
		t.Error("the log was changed")
	}
	if _, err := Inspect("/nowhere", Options{FS: fs}); err == nil {
		t.Error("looked into a directory that is not there")
	}
	if names, _ := fs.List("/"); slices.Contains(names, "nowhere") {
		t.Error("looking into a directory makes it")
	}
}

// The power goes at each operation. Then the directory is what it was, or the
// new one, and doing it again finishes: one generation, one entry, nothing lost.
func TestForceNewCrashAtEveryStep(t *testing.T) {
	finished := false
	base, all := lay(t, []entry{{term: 1}, {term: 2}}, 2)
	for at := 1; !finished; at++ {
		for mode := range crashfs.Modes {
			fs := base.Kill()
			n := 0
			var img *crashfs.FS
			fs.SetHook(func(crashfs.Op) error {
				if n++; n == at {
					img = fs.Crash(crashfs.Mode(mode), uint64(at))
				}
				if n >= at {
					return errPower
				}
				return nil
			})
			_, err := ForceNew(path, Options{FS: fs, Cluster: "c"})
			if img == nil {
				check(t, err)
				finished = true
				continue
			}
			r, err := Inspect(path, Options{FS: img.Kill()})
			if err != nil {
				t.Fatalf("power lost at operation %d, %v: %v", at, crashfs.Mode(mode), err)
			}
			if old, done := r.Generation == 0 && len(r.Members) == 5 && r.LastIndex == 3, r.Generation == 1 && len(r.Members) == 1 && r.LastIndex == 4; !old && !done {
				t.Fatalf("power lost at operation %d, %v: neither old nor new: %+v", at, crashfs.Mode(mode), r)
			}
			out, err := ForceNew(path, Options{FS: img, Cluster: "c"})
			if err != nil || out.Generation != 1 || out.Kept != 3 || out.LastIndex != 4 || !slices.Equal(ids(out.Members), ids(all[:1])) || len(out.Lost) != 4 {
				t.Fatalf("power lost at operation %d, %v, and done again: %+v, %v", at, crashfs.Mode(mode), out, err)
			}
		}
	}
}

var errPower = errors.New("the power is gone")

// A cluster that was re-formed around the wrong member is re-formed once more
// around one that was given up, when that is said: as a generation beyond it.
func TestForceNewOutdated(t *testing.T) {
	fs, _ := lay(t, []entry{{term: 1}}, 2)
	d, err := datadir.Open(path, datadir.Options{FS: fs})
	check(t, err)
	var s member.State
	_, err = d.LoadState(&s)
	check(t, err)
	s.Outdated, s.Newer = "so they say", 4
	check(t, d.SaveState(s))
	check(t, d.Close())
	if _, err := ForceNew(path, Options{FS: fs}); !errors.Is(err, ErrUnfit) {
		t.Fatalf("it wasn't said: %v", err)
	}
	out, err := ForceNew(path, Options{FS: fs, Outdated: true})
	check(t, err)
	if out.Generation != 5 || out.Outdated != "" || out.Unfit != "" || len(out.Members) != 1 {
		t.Fatalf("%+v", out)
	}
	again, err := ForceNew(path, Options{FS: fs})
	check(t, err)
	if !again.Before || again.Generation != 5 {
		t.Fatalf("again: %+v", again)
	}
}

// The best survivor has the highest last term, then the longest log.
func TestCompare(t *testing.T) {
	reports := []Report{{LastTerm: 2, LastIndex: 9}, {LastTerm: 3, LastIndex: 5}, {LastTerm: 3, LastIndex: 6}, {Generation: 1, LastTerm: 1}}
	for i := range reports {
		for k := range reports {
			if got := reports[i].Compare(&reports[k]); (got > 0) != (i > k) || (got < 0) != (i < k) {
				t.Errorf("%d against %d: %d", i, k, got)
			}
		}
	}
}
