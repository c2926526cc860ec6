package muster_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/mustertest"
)

// TestRestoredBackupOrClonedDisk: a member whose disk is put back to an older
// image has forgotten what it acknowledged, and a copy of its disk might vote a
// second time. Members that have met a later run refuse it; it hears why, ends,
// and can't be used again. The cluster goes on, and nothing is lost.
func TestRestoredBackupOrClonedDisk(t *testing.T) {
	t.Run("restored", func(t *testing.T) { story(t, restored) })
	t.Run("all were down", func(t *testing.T) { story(t, restoredWhileAllWereDown) })
	t.Run("restarted in the dark", func(t *testing.T) { story(t, restoredAndRestarted) })
	t.Run("to before it joined", func(t *testing.T) { story(t, restoredToBlank) })
	t.Run("as it was while it ran", func(t *testing.T) { story(t, restoredHot) })
	t.Run("newcomer", func(t *testing.T) { story(t, restoredBeforeNewcomer) })
	t.Run("cloned", func(t *testing.T) { story(t, cloned) })
	t.Run("cloned while it runs", func(t *testing.T) { story(t, clonedWhileItRuns) })
	t.Run("moved", func(t *testing.T) { story(t, movedDisk) })
}

// untrusted waits until a member has ended for being rolled back, and sees that
// it can't be started again.
func untrusted(t *testing.T, c *mustertest.Cluster, name string) {
	t.Helper()
	m := c.Member(name)
	ended(t, m)
	for _, err := range []error{m.Err(), startAgain(c, name)} {
		if !errors.Is(err, muster.ErrRolledBack) || !errors.Is(err, muster.ErrData) {
			t.Errorf("%s ended with %v, want %v", name, err, muster.ErrRolledBack)
			continue
		}
		for _, words := range []string{"older image of its disk", "start n2 with an empty data directory"} {
			if !strings.Contains(err.Error(), words) {
				t.Errorf("%q does not say %q", err, words)
			}
		}
	}
}

func startAgain(c *mustertest.Cluster, name string) error {
	c.Crash(name)
	_, err := c.TryStart(name)
	return err
}

// backedUp is a cluster of three of which n2 was stopped, copied, and started
// again; then "a" was written.
func backedUp(t *testing.T, opt mustertest.Options) (c *mustertest.Cluster, image string) {
	t.Helper()
	ctx := t.Context()
	c = formed(t, opt)
	c.Stop(ctx, "n2")
	image = c.Backup("n2")
	c.Start("n2")
	c.Ready(ctx)
	propose(t, c.Member("n2"), "a")
	c.Agree(ctx)
	return c, image
}

func restored(t *testing.T) {
	ctx := t.Context()
	c, image := backedUp(t, mustertest.Options{})
	n2 := id(c.Member("n2"))
	c.Restore("n2", image)
	c.Start("n2")
	untrusted(t, c, "n2")
	if err := c.Member("n2").Err(); !strings.Contains(err.Error(), "its epoch is 2, and its epoch 2 is not the one that was met") {
		t.Errorf("%q says nothing of epochs", err)
	}
	propose(t, c.Leader(ctx), "b")
	c.Wipe("n2")
	c.Start("n2")
	c.Ready(ctx)
	c.Until(ctx, "n2 votes again", func() bool { return len(voters(c.Member("n1"))) == 3 })
	c.Agree(ctx)
	once(t, c, "a", "b")
	if again := id(c.Member("n2")); again == n2 {
		t.Error("it has come back as the same member")
	}
}

// What was met is on the others' disks. Two of three forgot nothing, and the
// third must not stand in for either.
func restoredWhileAllWereDown(t *testing.T) {
	ctx := t.Context()
	c, image := backedUp(t, mustertest.Options{})
	c.Crash()
	c.Restore("n2", image)
	c.Start("n1", "n2")
	untrusted(t, c, "n2")
	n1 := c.Member("n1")
	time.Sleep(time.Minute)
	if s := n1.Status(); s.Leader != 0 {
		t.Errorf("n1 and an image of n2 have elected %s", s.Leader)
	}
	if why(n1, "no_quorum_reachable", "n2") == false {
		t.Errorf("n1 does not say for whom it waits: %v", n1.Why())
	}
	c.Start("n3")
	c.Ready(ctx)
	c.Agree(ctx)
	once(t, c, "a")
}

// Restarts count: after some of them the image's epoch is beyond what was met.
// But it does not go back to that.
func restoredAndRestarted(t *testing.T) {
	ctx := t.Context()
	c, image := backedUp(t, mustertest.Options{})
	c.Isolate("n2")
	c.Restore("n2", image)
	for range 6 {
		c.Start("n2")
		time.Sleep(10 * time.Second)
		c.Crash("n2")
	}
	c.Start("n2")
	c.Isolate("n2")
	time.Sleep(time.Second)
	c.Heal()
	untrusted(t, c, "n2")
	propose(t, c.Leader(ctx), "b")
	c.Agree(ctx)
	once(t, c, "a", "b")
}

// An image from when the node was in no cluster yet: it would join as if it had
// never voted.
func restoredToBlank(t *testing.T) {
	ctx := t.Context()
	c := mustertest.New(t, mustertest.Options{Founders: 1})
	c.Start("n2")
	time.Sleep(time.Second)
	c.Crash("n2")
	image := c.Backup("n2")
	c.Start("n1")
	for _, name := range []string{"n2", "n3"} {
		c.Join(ctx, name)
	}
	c.Until(ctx, "three vote", func() bool { return len(voters(c.Member("n1"))) == 3 })
	propose(t, c.Member("n2"), "a")
	c.Agree(ctx)
	c.Restore("n2", image)
	c.Start("n2")
	untrusted(t, c, "n2")
	propose(t, c.Leader(ctx), "b")
	c.Agree(ctx)
	once(t, c, "a", "b")
}

// An image of a member that runs, and isn't started again before it is put back:
// no later run was met. But its leader knows what it has acknowledged.
func restoredHot(t *testing.T) {
	ctx := t.Context()
	c := formed(t, mustertest.Options{})
	if err := c.Leader(ctx).Transfer(ctx, id(c.Member("n1"))); err != nil {
		t.Fatal(err)
	}
	c.Agree(ctx)
	image := c.Backup("n2")
	propose(t, c.Member("n2"), "a")
	c.Agree(ctx)
	c.Restore("n2", image)
	c.Start("n2")
	untrusted(t, c, "n2")
	propose(t, c.Leader(ctx), "b")
	c.Agree(ctx)
	once(t, c, "a", "b")
}

// A member that came while n2 was down has heard of its runs from the leader.
func restoredBeforeNewcomer(t *testing.T) {
	ctx := t.Context()
	c, image := backedUp(t, mustertest.Options{})
	c.Crash("n2")
	c.Join(ctx, "n4")
	c.Restart("n4")
	c.Ready(ctx)
	c.Crash("n1", "n3")
	c.Restore("n2", image)
	c.Start("n2")
	untrusted(t, c, "n2")
	c.Start("n1", "n3")
	c.Ready(ctx)
	c.Agree(ctx)
	once(t, c, "a")
}

// twin makes "x" run under the name of n2.
func twin(name string, c *muster.Config) {
	if name == "x" {
		c.Name = "n2"
	}
}

// untouched sees that n2 goes on as it was, and is where it was.
func untouched(t *testing.T, c *mustertest.Cluster, n2 *mustertest.Member) {
	t.Helper()
	ctx := t.Context()
	propose(t, n2, "b")
	for _, name := range []string{"n1", "n2", "n3"} {
		if m, _ := c.Member(name).Status().Member(id(n2)); m.PeerAddr != mustertest.Addr("n2") || m.Role != cluster.Voter {
			t.Errorf("%s has n2 as a %s at %s", name, m.Role, m.PeerAddr)
		}
	}
	c.Restart("n2")
	c.Ready(ctx)
	c.Agree(ctx)
	once(t, c, "a", "b")
}

// A copy of a disk comes up at another address, and counts as n2 itself does.
func cloned(t *testing.T) {
	c, image := backedUp(t, mustertest.Options{Config: twin})
	c.Restore("x", image)
	c.Start("x")
	untrusted(t, c, "x")
	untouched(t, c, c.Member("n2"))
}

// A copy of the present disk counts more than n2 itself, which still answers.
func clonedWhileItRuns(t *testing.T) {
	c, _ := backedUp(t, mustertest.Options{Config: twin})
	c.Restore("x", c.Backup("n2"))
	c.Start("x")
	untrusted(t, c, "x")
	untouched(t, c, c.Member("n2"))
}

// A disk that was moved to another machine is no copy, though its old address
// has fallen silent without a word.
func movedDisk(t *testing.T) {
	ctx := t.Context()
	c, _ := backedUp(t, mustertest.Options{Config: twin})
	n2 := id(c.Member("n2"))
	c.Crash("n2")
	c.Restore("x", c.Backup("n2"))
	c.Start("x")
	c.Ready(within(t, 20*time.Second))
	for _, name := range []string{"n1", "n3"} {
		c.Until(ctx, name+" knows where n2 is", func() bool {
			m, _ := c.Member(name).Status().Member(n2)
			return m.PeerAddr == mustertest.Addr("x")
		})
	}
	propose(t, c.Member("x"), "b")
	c.Agree(ctx)
	once(t, c, "a", "b")
}
