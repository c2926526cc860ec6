package mustertest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/mustertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func propose(t *testing.T, m *mustertest.Member, command string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), mustertest.Patience)
	defer cancel()
	if _, err := m.Propose(ctx, []byte(command)); err != nil {
		t.Fatalf("propose at %s: %v", m.Name, err)
	}
}

// TestClusterInRealTime: a whole life outside a bubble, and nothing is left
// running directly after the members were closed.
func TestClusterInRealTime(t *testing.T) {
	before := goleak.IgnoreCurrent()
	ctx := t.Context()
	c := mustertest.New(t, mustertest.Options{})
	c.Start()
	c.Ready(ctx)
	propose(t, c.Member("n2"), "a")
	c.Crash("n2")
	propose(t, c.Leader(ctx), "b")
	c.Restart("n2")
	c.Ready(ctx)
	leader := c.Leader(ctx)
	c.Stop(ctx, leader.Name)
	propose(t, c.Leader(ctx), "c")
	c.Start(leader.Name)
	c.Agree(ctx)
	if got := fmt.Sprint(c.Member("n2").Journal().Commands()); !strings.Contains(got, "a} ") || !strings.HasSuffix(got, " c}]") {
		t.Errorf("n2 applied %s, want a, b, c", got)
	}
	c.Stop(ctx)
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

func TestClusterInABubble(t *testing.T) {
	begun := time.Now()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := mustertest.New(t, mustertest.Options{})
		c.Start()
		c.Ready(ctx)
		time.Sleep(10 * time.Minute) // nothing happens in it
		leader := c.Leader(ctx)
		c.Isolate(leader.Name)
		time.Sleep(5 * time.Second)
		next := c.Leader(ctx)
		if next.Name == leader.Name {
			t.Errorf("%s leads alone", leader.Name)
		}
		propose(t, next, "a")
		if n := leader.Journal().Count("a"); n != 0 {
			t.Error("a command crossed the partition")
		}
		c.Heal()
		c.Agree(ctx)
		if n := leader.Journal().Count("a"); n != 1 {
			t.Errorf("%d times applied at %s", n, leader.Name)
		}
	})
	if took := time.Since(begun); took > 5*time.Minute {
		t.Errorf("ten minutes in a bubble took %v", took)
	}
}

func TestJoinAndWipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		c := mustertest.New(t, mustertest.Options{Founders: 1})
		c.Start()
		propose(t, c.Leader(ctx), "a")
		n2 := c.Join(ctx, "n2")
		if !n2.Saw("joined") || n2.Status().Self.Role == 0 {
			t.Errorf("n2 is ready but not a member: %+v, %v", n2.Status(), n2.Events())
		}
		id := n2.Status().Self.ID
		c.Agree(ctx)
		c.Wipe("n2")
		c.Start("n2")
		if got := c.Member("n2").Status(); got.Self.ID == id || got.ClusterID != (cluster.ClusterID{}) {
			t.Errorf("a wiped member still knows who it was: %+v", got)
		}
	})
}
