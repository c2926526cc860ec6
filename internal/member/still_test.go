package member

import (
	"fmt"
	"testing"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/internal/datadir"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/raftlog"
	"github.com/musterhq/muster/internal/replica"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
	"github.com/musterhq/muster/statemachine"
)

// still is a body without network, whose workers do their work when they are
// told to: one member alone, at a standstill between two calls.
type still struct {
	t       *testing.T
	fs      *crashfs.FS
	m       *Member
	machine *counter
	writer  *Writer
	applier *Applier

	appends []AppendJob
	applies []ApplyJob
	later   []func()
	sent    []replica.Outgoing
	warned  []string
	failed  error
	shots   int // images that the machine wrote

	compacts []uint64 // every AppendJob.Compact there was
	restored uint64   // index of the last image that the machine was restored from
}

// counter counts commands, and the images that were taken of it.
type counter struct {
	s *still
	n int
}

func (c *counter) Open(string) (uint64, error) { return 0, nil }
func (c *counter) Apply(_ uint64, entries []statemachine.Entry) ([]statemachine.Result, error) {
	c.n += len(entries)
	return make([]statemachine.Result, len(entries)), nil
}
func (c *counter) Checkpoint(string) error      { c.s.shots++; return nil }
func (c *counter) Restore(string, uint64) error { return nil }
func (c *counter) Durable() (uint64, error)     { return 0, nil }
func (c *counter) Close() error                 { return nil }

const selfName = "a"

// newStill boots a member that founds alone, on an empty disk.
func newStill(t *testing.T, imageBytes int64) *still {
	t.Helper()
	s, err := bootStill(t, crashfs.New(), imageBytes)
	must(t, err)
	s.rest()
	return s
}

// bootStill boots a member from what is on a disk.
func bootStill(t *testing.T, fs *crashfs.FS, imageBytes int64) (*still, error) {
	s := &still{t: t, fs: fs}
	dir, err := datadir.Open("/d", datadir.Options{FS: s.fs, Name: selfName})
	if err != nil {
		return nil, err
	}
	log, err := raftlog.Open(dir.LogPath(), raftlog.Options{FS: s.fs, SegmentBytes: 1 << 12})
	if err != nil {
		return nil, err
	}
	store, err := snapshot.Open(dir.SnapshotPath(), s.fs)
	if err != nil {
		return nil, err
	}
	inc := dir.Identity().Incarnation
	self := wire.Identity{Incarnation: inc, NodeID: inc.NodeID(), Name: selfName, PeerAddr: "a:1"}
	s.machine = &counter{s: s}
	s.writer = &Writer{Log: log, Send: s.Send, Restore: s.restore}
	s.applier = &Applier{Self: self.NodeID, Machine: s.machine, Snapshots: store, Take: func(uint64) Waiter { return nil }}
	var pin PinStore
	if _, err := fs.Stat("/pins"); err == nil {
		if pin, err = datadir.OpenPin(fs, "/pins/a"); err != nil {
			return nil, err
		}
	}
	s.m, err = New(Config{
		Self: self, Epoch: 1, Cluster: "test", Mode: formation.Single, Nonce: make([]byte, 16),
		Heartbeat: 100 * time.Millisecond, ElectionTicks: 10, SnapshotLogBytes: imageBytes, MaxPendingBytes: 1 << 20,
		Disk:   Disk{Log: log, Snapshots: store, State: dir, Pin: pin, Machine: s.machine},
		Logger: &raft.DefaultLogger{Logger: quietLog},
	}, s)
	return s, err
}

// rest lets everything that was begun come to its end.
func (s *still) rest() {
	s.t.Helper()
	for s.m.Drive(); len(s.appends)+len(s.applies)+len(s.later) > 0; s.m.Drive() {
		s.write()
		s.apply()
		later := s.later
		s.later = nil
		for _, f := range later {
			f()
		}
	}
	must(s.t, s.failed)
}

func (s *still) write() {
	for len(s.appends) > 0 {
		n, err := s.writer.Some(s.appends)
		must(s.t, err)
		done := s.appends[:n]
		s.appends = s.appends[n:]
		for _, j := range done {
			s.m.Appended(j)
		}
	}
}

func (s *still) restore(img *snapshot.Image) error {
	s.apply()
	_, _, err := s.applier.Some([]ApplyJob{{Restore: img, Restored: func() {}}})
	s.restored = img.Index
	return err
}

func (s *still) apply() {
	for len(s.applies) > 0 {
		n, checkpoint, err := s.applier.Some(s.applies)
		must(s.t, err)
		done := s.applies[:n]
		s.applies = s.applies[n:]
		if checkpoint != nil {
			s.m.Completed(*checkpoint)
		}
		for _, j := range done {
			if j.Apply != nil {
				s.m.Completed(Completion{Apply: j.Apply})
			}
		}
	}
}

// ticks lets time pass.
func (s *still) ticks(n int) {
	s.t.Helper()
	for range n {
		s.m.Tick()
		s.m.Drive()
		s.m.Tended()
		s.rest()
	}
}

func (s *still) Send(to cluster.NodeID, b *wire.Batch) {
	s.sent = append(s.sent, replica.Outgoing{To: to, Batch: b})
}
func (s *still) SetPeers(map[cluster.NodeID]string) {}
func (s *still) Call(string, cluster.NodeID, wire.Request, time.Duration, func(wire.Response, wire.Hello, error)) {
}
func (s *still) Stream(cluster.NodeID, *snapshot.Image, *raftpb.Message, func(error)) {}
func (s *still) Append(j AppendJob) {
	s.appends = append(s.appends, j)
	if j.Compact > 0 {
		s.compacts = append(s.compacts, j.Compact)
	}
}
func (s *still) Apply(j ApplyJob)          { s.applies = append(s.applies, j) }
func (s *still) Later(work, done func())   { s.later = append(s.later, work, done) }
func (s *still) Changed(*View)             {}
func (s *still) Progress(uint64, uint64)   {}
func (s *still) Dropped(replica.Dropped)   {}
func (s *still) Released(replica.ReadDone) {}
func (s *still) Emit(event.Event)          {}
func (s *still) Warn(text string, err error) {
	s.warned = append(s.warned, fmt.Sprint(text, ": ", err))
}
func (s *still) Fail(err error) { s.failed = err }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
