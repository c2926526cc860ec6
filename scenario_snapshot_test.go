package muster_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/raftlog"
	"github.com/musterhq/muster/mustertest"
)

func smallLog(_ string, c *muster.Config) { c.SnapshotLogBytes = 8 << 10 }

// compacted fills the log until the leader has dropped all that there is now.
func compacted(t *testing.T, c *mustertest.Cluster) *mustertest.Member {
	t.Helper()
	leader := c.Leader(t.Context())
	through := leader.Status().Last
	for i := 0; leader.Status().First <= through+1 && i < 100; i++ {
		fill(t, leader, fmt.Sprint("fill", i), 10, 500)
		time.Sleep(100 * time.Millisecond)
	}
	if leader.Status().First <= through+1 {
		t.Fatalf("the log was never compacted\n%s", c.Describe())
	}
	return leader
}

// TestLogCompactedNeedsSnapshot: who needs entries that are no longer in the
// log gets a snapshot: a new member, one that was away, one without a log,
// while commands keep coming.
func TestLogCompactedNeedsSnapshot(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{Config: smallLog})
		away := follower(ctx, c)
		c.Crash(away.Name)
		compacted(t, c)
		time.Sleep(time.Minute) // until nothing waits on the leader's connection any more
		load := startLoad(c, 3)
		c.Start(away.Name)
		c.Ready(within(t, 20*time.Second), away.Name)
		n4 := c.Join(within(t, 20*time.Second), "n4")
		for _, m := range []*mustertest.Member{c.Member(away.Name), n4} {
			if !m.Saw("snapshot_installed") {
				t.Errorf("%s has installed no snapshot", m.Name)
			}
		}
		acked, failed := load.stop()
		c.Agree(ctx)
		once(t, c, acked...)
		never(t, c, failed)
		c.Restart()
		c.Ready(ctx)
		c.Agree(ctx)
		once(t, c, acked...)
	})
}

// TestSnapshotStreamCutOrReportLost: a snapshot arrives in the end though its
// connection is cut, its acknowledgement lost, or its receiver restarted.
func TestSnapshotStreamCutOrReportLost(t *testing.T) {
	for _, harm := range []string{"cut", "report lost", "lost for long", "receiver restarts", "sender restarts"} {
		t.Run(harm, func(t *testing.T) {
			story(t, func(t *testing.T) { harmedSnapshot(t, harm) })
		})
	}
}

func harmedSnapshot(t *testing.T, harm string) {
	ctx := t.Context()
	c := formed(t, mustertest.Options{Config: func(name string, c *muster.Config) {
		c.SnapshotSendBytesPerSecond = 64 << 10
	}})
	fill(t, c.Leader(ctx), "a", 8, 64<<10)
	leader := c.Leader(ctx)
	c.Start("n4")
	n4 := c.Member("n4")
	c.Until(ctx, "a snapshot is under way", func() bool { return n4.Saw("snapshot_receiving") })
	time.Sleep(time.Second)
	if n4.Saw("snapshot_installed") {
		t.Fatal("the snapshot was there already")
	}
	switch harm {
	case "cut":
		for range 3 {
			c.Cut(leader.Name, "n4")
			time.Sleep(time.Second)
		}
	case "report lost":
		c.Block("n4", leader.Name)
		time.Sleep(4 * time.Second)
		c.Heal()
	case "lost for long": // longer than it is tried again
		c.Isolate("n4")
		time.Sleep(5 * time.Minute)
		c.Heal()
	case "receiver restarts":
		c.Restart("n4")
		n4 = c.Member("n4")
	case "sender restarts":
		c.Restart(leader.Name)
	}
	c.Ready(within(t, time.Minute))
	c.Agree(ctx)
	if len(n4.Journal().Commands()) != 8 {
		t.Errorf("n4 has %d commands, want 8", len(n4.Journal().Commands()))
	}
	if harm == "cut" {
		resumed(t, n4)
	}
}

// resumed makes sure that a stream that was cut began where it had ended.
func resumed(t *testing.T, m *mustertest.Member) {
	t.Helper()
	var highest int64
	for _, e := range m.Events() {
		r, ok := e.(event.SnapshotReceiving)
		if !ok {
			continue
		}
		if r.Have == 0 && highest > 0 {
			t.Errorf("after %d bytes a stream began at 0 again", highest)
		}
		highest = max(highest, r.Have)
	}
	if highest == 0 {
		t.Error("nothing was told of the stream")
	}
}

// TestCommitBehindSnapshotAtRestart: the commit index on disk, which is never
// synced for its own sake, lies below the newest snapshot; or the snapshot is
// there and the log does not begin after it yet. Raft panics where that shows.
func TestCommitBehindSnapshotAtRestart(t *testing.T) {
	t.Run("old commit index", func(t *testing.T) {
		story(t, func(t *testing.T) {
			ctx := t.Context()
			c := formed(t, mustertest.Options{Config: smallLog})
			compacted(t, c)
			m := follower(ctx, c)
			c.Until(ctx, m.Name+" has compacted too", func() bool { return m.Saw("compacted") })
			c.Stop(ctx, m.Name)
			setCommit(t, c.Dir(m.Name), 1)
			c.Start(m.Name)
			c.Ready(ctx)
			c.Agree(ctx)
		})
	})
	t.Run("snapshot not in use yet", func(t *testing.T) {
		story(t, func(t *testing.T) {
			ctx := t.Context()
			c := formed(t, mustertest.Options{Config: smallLog})
			m := follower(ctx, c)
			c.Stop(ctx, m.Name)
			leader := compacted(t, c)
			c.Stop(ctx, leader.Name)
			takeSnapshots(t, c.Dir(leader.Name), c.Dir(m.Name))
			setCommit(t, c.Dir(m.Name), 1)
			c.Start(m.Name)
			if at := c.Member(m.Name).Status(); at.Applied < leader.Status().First {
				t.Errorf("it starts at index %d, the snapshot is above %d", at.Applied, leader.Status().First)
			}
			c.Ready(ctx)
			c.Start(leader.Name)
			c.Ready(ctx)
			c.Agree(ctx)
		})
	})
}

// TestDamagedSnapshotIsNotRestored: a bit of an image has flipped while it lay
// on the disk, in a place that the machine takes as it is. The member that
// needs the image refuses to start, and says which file it is.
func TestDamagedSnapshotIsNotRestored(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{Config: smallLog})
		m := follower(ctx, c)
		c.Stop(ctx, m.Name)
		leader := compacted(t, c)
		c.Stop(ctx, leader.Name)
		takeSnapshots(t, c.Dir(leader.Name), c.Dir(m.Name))
		files, err := filepath.Glob(filepath.Join(c.Dir(m.Name), "snapshot", "image-*", "data", "journal"))
		if err != nil || len(files) != 1 {
			t.Fatalf("images: %q, %v", files, err)
		}
		b, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.LastIndex(b, []byte("xxx"))
		b[at] ^= 1
		if err := os.WriteFile(files[0], b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.TryStart(m.Name); !errors.Is(err, muster.ErrData) || !strings.Contains(err.Error(), files[0]) {
			t.Errorf("start over a damaged image: %v, want %v and %s", err, muster.ErrData, files[0])
		}
	})
}

// setCommit writes a commit index into the log of a stopped member.
func setCommit(t *testing.T, dir string, commit uint64) {
	t.Helper()
	log, err := raftlog.Open(filepath.Join(dir, "log"), raftlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	hs := log.HardState()
	err = log.Append([]raftlog.Batch{{HardState: &raftpb.HardState{Term: hs.Term, Vote: hs.Vote, Commit: new(commit)}, Sync: true}})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

// takeSnapshots gives one stopped member the images of another, as a transfer
// that had just ended would have left them.
func takeSnapshots(t *testing.T, from, to string) {
	t.Helper()
	from, to = filepath.Join(from, "snapshot"), filepath.Join(to, "snapshot")
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
