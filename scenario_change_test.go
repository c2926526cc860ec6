package muster_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
	"github.com/musterhq/muster/mustertest"
)

// TestConfChangeTimeoutThenApplied: of a change that is in the log of a leader
// without a quorum nobody knows; asked again under its request ID it is
// decided, once, whether the entry has survived or not.
func TestConfChangeTimeoutThenApplied(t *testing.T) {
	for _, survives := range []bool{false, true} {
		t.Run(fmt.Sprintf("survives=%t", survives), func(t *testing.T) {
			story(t, func(t *testing.T) { unknownChange(t, survives) })
		})
	}
}

func unknownChange(t *testing.T, survives bool) {
	ctx := t.Context()
	c := formed(t, mustertest.Options{})
	n4 := c.Join(ctx, "n4")
	leader := c.Leader(ctx)
	s := newStranger(t, c, "s", leader.Status().ClusterID)
	ask := func(member string) wire.ChangeReply {
		resp, err := s.ask(ctx, member, wire.Request{Change: &wire.Change{
			Request: "r1", Steps: []wire.Step{{Op: wire.OpRemove, Member: cluster.Member{ID: id(n4)}}},
		}})
		if err != nil || resp.Change == nil {
			return wire.ChangeReply{Status: wire.ChangeUnknown, Reason: fmt.Sprint(err)}
		}
		return *resp.Change
	}
	if survives { // the followers get the entry, but the leader doesn't hear of it
		for _, f := range c.Others(leader.Name) {
			c.Block(f, leader.Name)
		}
	} else {
		c.Partition([]string{leader.Name, "s"})
	}
	if r := ask(leader.Name); r.Status != wire.ChangeUnknown {
		t.Errorf("first answer: %+v, want unknown", r)
	}
	if survives {
		c.Partition([]string{leader.Name})
	}
	time.Sleep(5 * time.Second)
	c.Heal()
	var first wire.ChangeReply
	c.Until(ctx, "r1 is decided", func() bool {
		first = ask(c.Leader(ctx).Name)
		return first.Status != wire.ChangeUnknown && first.Status != wire.ChangePending
	})
	if first.Status != wire.ChangeApplied {
		t.Fatalf("asked again: %+v, want applied", first)
	}
	for _, name := range []string{"n1", "n2", "n3"} {
		c.Until(ctx, name+" gives the same answer", func() bool {
			r := ask(name)
			return r.Status == first.Status && r.Index == first.Index
		})
		c.Until(ctx, name+" no longer counts n4", func() bool {
			_, ok := c.Member(name).Status().Member(id(n4))
			return !ok
		})
	}
}

// TestUnknownRemove is the same through the door: it never says that a change
// did not happen which may have.
func TestUnknownRemove(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{})
		n4 := c.Join(ctx, "n4")
		leader := c.Leader(ctx)
		for _, f := range c.Others(leader.Name) {
			c.Block(f, leader.Name)
		}
		if err := leader.RemoveBelowFloor(within(t, 4*time.Second), id(n4)); !errors.Is(err, muster.ErrUnknownOutcome) {
			t.Errorf("without a quorum: %v, want %v", err, muster.ErrUnknownOutcome)
		}
		c.Heal()
		ended(t, n4)
		if err := n4.Err(); !errors.Is(err, muster.ErrRemoved) {
			t.Errorf("n4 ended with %v", err)
		}
	})
}

// TestConfChangeAppliedTwiceAfterRestart: what the log says of the membership
// counts once, however often it is read again.
func TestConfChangeAppliedTwiceAfterRestart(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		opt := mustertest.Options{Config: func(_ string, c *muster.Config) { c.SnapshotLogBytes = 8 << 10 }}
		c := formed(t, opt)
		n4 := c.Join(ctx, "n4")
		old := id(n4)
		if err := c.Leader(ctx).RemoveBelowFloor(ctx, old); err != nil {
			t.Fatal(err)
		}
		ended(t, n4)
		c.Wipe("n4")
		again := c.Join(ctx, "n4") // the same name, another disk
		if id(again) == old {
			t.Fatal("an ID was used twice")
		}
		for round := range 4 {
			fill(t, c.Leader(ctx), fmt.Sprint("round", round), 10, 500)
			c.Agree(ctx)
			before := lines(c.Leader(ctx).Status())
			c.Restart()
			c.Ready(ctx)
			c.Agree(ctx)
			for _, name := range c.Running() {
				if after := lines(c.Member(name).Status()); after != before {
					t.Fatalf("round %d: %s counts\n%s\nbefore the restart it was\n%s", round, name, after, before)
				}
			}
		}
		if n := len(c.Member("n1").Journal().Commands()); n != 40 {
			t.Errorf("%d commands, want 40", n)
		}
	})
}

// TestRemovedNodeComesBack: it is told, remembers it, and can't be started
// again; its files stay. So it is when it was away while it was removed.
func TestRemovedNodeComesBack(t *testing.T) {
	for _, away := range []string{"no", "stopped", "cut off"} {
		t.Run(away, func(t *testing.T) {
			story(t, func(t *testing.T) { removedComesBack(t, away) })
		})
	}
}

func removedComesBack(t *testing.T, away string) {
	ctx := t.Context()
	c := formed(t, mustertest.Options{})
	propose(t, c.Leader(ctx), "a")
	c.Agree(ctx)
	gone := follower(ctx, c)
	switch away {
	case "stopped":
		c.Stop(ctx, gone.Name)
	case "cut off":
		c.Isolate(gone.Name)
	}
	if err := c.Leader(ctx).RemoveBelowFloor(ctx, id(gone)); err != nil {
		t.Fatal(err)
	}
	propose(t, c.Leader(ctx), "b")
	time.Sleep(time.Minute)
	c.Heal()
	if away == "stopped" {
		c.Start(gone.Name)
		gone = c.Member(gone.Name)
	}
	ended(t, gone)
	if err := gone.Err(); !errors.Is(err, muster.ErrRemoved) {
		t.Errorf("it ended with %v, want %v", err, muster.ErrRemoved)
	}
	if _, err := gone.Propose(ctx, []byte("c")); !errors.Is(err, muster.ErrStopped) || !errors.Is(err, muster.ErrRemoved) {
		t.Errorf("propose: %v", err)
	}
	c.Crash(gone.Name)
	for range 2 {
		if _, err := c.TryStart(gone.Name); !errors.Is(err, muster.ErrRemoved) {
			t.Errorf("started again: %v, want %v", err, muster.ErrRemoved)
		}
	}
	if gone.Journal().Count("a") != 1 {
		t.Error("its data is gone")
	}
	if n := len(c.Leader(ctx).Status().Members); n != 2 {
		t.Errorf("%d members, want 2", n)
	}
	c.Agree(ctx)
}

// TestRemoveLeaderSelfLastVoter: the leader itself may go, as long as somebody
// is left to lead; the last voter may not.
func TestRemoveLeaderSelfLastVoter(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{})
		for left := 2; left > 0; left-- {
			leader := c.Leader(ctx)
			time.Sleep(5 * time.Second) // until who stays has shown that it can lead
			propose(t, leader, fmt.Sprint("before ", left))
			if err := leader.LeaveBelowFloor(ctx); err != nil {
				t.Fatalf("leader leaves %d others: %v\n%s", left, err, c.Describe())
			}
			ended(t, leader)
			if err := leader.Err(); !errors.Is(err, muster.ErrRemoved) {
				t.Errorf("it ended with %v", err)
			}
			c.Crash(leader.Name)
			next := c.Leader(ctx)
			propose(t, next, fmt.Sprint("after ", left))
			c.Until(ctx, "the joint configuration is left", func() bool { return !next.Status().Joint && len(next.Status().Members) == left })
		}
		last := c.Leader(ctx)
		if err := last.LeaveBelowFloor(within(t, 5*time.Second)); !errors.Is(err, muster.ErrRefused) {
			t.Errorf("the last voter leaves: %v, want %v", err, muster.ErrRefused)
		}
		propose(t, last, "still here")
		once(t, c, "before 2", "after 2", "before 1", "after 1", "still here")
	})
}

// TestLeaveRefused: the last that could serve may not leave, and may not be
// removed, while the other members are down. It goes on serving.
func TestLeaveRefused(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{})
		down := follower(ctx, c)
		c.Crash(down.Name)
		time.Sleep(2 * time.Second)
		goes := follower(ctx, c)
		if err := goes.LeaveBelowFloor(ctx); err != nil {
			t.Errorf("one of two that answer leaves: %v", err)
		}
		ended(t, goes)
		c.Crash(goes.Name)
		last := c.Leader(ctx)
		if err := last.LeaveBelowFloor(within(t, 5*time.Second)); !errors.Is(err, muster.ErrRefused) {
			t.Errorf("the last that serves leaves: %v, want %v", err, muster.ErrRefused)
		}
		if err := last.RemoveBelowFloor(within(t, 5*time.Second), id(last)); !errors.Is(err, muster.ErrRefused) {
			t.Errorf("the last that serves is removed: %v, want %v", err, muster.ErrRefused)
		}
		propose(t, last, "a")
		c.Start(down.Name)
		c.Ready(ctx)
		c.Agree(ctx)
		once(t, c, "a")
	})
}

// TestChangesTogether: changes that are asked for at the same time are carried
// out one after the other, not turned down.
func TestChangesTogether(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{})
		for _, name := range []string{"n4", "n5", "n6", "n7", "n8"} {
			c.Start(name)
		}
		c.Ready(ctx)
		leader := c.Leader(ctx)
		var wg sync.WaitGroup
		for i, name := range []string{"n5", "n6", "n7", "n8"} {
			via := c.Member(fmt.Sprintf("n%d", i%3+1))
			wg.Go(func() {
				if err := via.RemoveBelowFloor(within(t, 20*time.Second), id(c.Member(name))); err != nil {
					t.Errorf("remove %s: %v", name, err)
				}
			})
		}
		wg.Wait()
		c.Until(ctx, "four are left", func() bool { return len(leader.Status().Members) == 4 })
	})
}

// TestTransferWhileAllStop: a leader whose followers have gone doesn't wait for
// them until its caller loses patience: it stops leading, and says so.
func TestTransferWhileAllStop(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{})
		leader := c.Leader(ctx)
		time.Sleep(500 * time.Millisecond) // a new leader offers it to those that it has heard of
		c.Isolate(leader.Name)
		begun := time.Now()
		err := leader.Transfer(within(t, time.Minute), 0)
		if !errors.Is(err, muster.ErrUnknownOutcome) && !errors.Is(err, muster.ErrRefused) { // refused: nobody answers any more
			t.Errorf("the answer was %v", err)
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		begun = time.Now()
		c.Stop(ctx, leader.Name)
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("to stop it took %v", took)
		}
	})
}

// TestTransfer: leadership goes to whom it was given to, and Stop hands it over.
func TestTransfer(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{})
		for _, to := range []string{"n2", "n3", "n1", "n3"} {
			time.Sleep(500 * time.Millisecond) // a new leader offers it to those that it has heard of
			if err := c.Member("n2").Transfer(ctx, id(c.Member(to))); err != nil {
				t.Fatalf("transfer to %s: %v", to, err)
			}
			if got := c.Leader(ctx).Name; got != to {
				t.Errorf("%s leads, want %s", got, to)
			}
		}
		load := startLoad(c, 4)
		time.Sleep(200 * time.Millisecond)
		begun := time.Now()
		c.Stop(ctx, "n3")
		if !slices.ContainsFunc(c.Running(), func(name string) bool { s := c.Member(name).Status(); return s.Leader == s.Self.ID }) {
			t.Error("n3 has stopped before another led")
		}
		next := c.Leader(ctx)
		if took := time.Since(begun); took > 400*time.Millisecond {
			t.Errorf("without a leader for %v: it was not handed over", took)
		}
		if next.Name == "n3" {
			t.Error("n3 has stopped and leads")
		}
		time.Sleep(time.Second)
		acked, failed := load.stop()
		once(t, c, acked...)
		never(t, c, failed)
		c.Start("n3")
		c.Ready(ctx)
		if n := len(next.Status().Members); n != 3 {
			t.Errorf("to stop is not to leave: %d members", n)
		}
	})
}

// TestStopGivesTheVoteAway: a voter that stops has a standby vote in its place,
// whether it leads or not, so that the cluster survives as much as before; when
// it comes back it is on standby itself.
func TestStopGivesTheVoteAway(t *testing.T) {
	for _, leads := range []bool{true, false} {
		t.Run(fmt.Sprint("leader=", leads), func(t *testing.T) {
			story(t, func(t *testing.T) {
				ctx := t.Context()
				c := formed(t, mustertest.Options{})
				c.Join(ctx, "n4")
				time.Sleep(10 * time.Second) // n4 is ready, and on standby
				gone := c.Leader(ctx).Status().Self.Name
				if !leads {
					gone = follower(ctx, c).Status().Self.Name
				}
				c.Stop(within(t, 10*time.Second), gone)
				if got := voters(c.Leader(ctx)); len(got) != 3 || !slices.Contains(got, "n4") {
					t.Fatalf("after %s has stopped these vote: %v", gone, got)
				}
				c.Start(gone)
				c.Ready(ctx, gone)
				time.Sleep(10 * time.Second)
				if got := voters(c.Leader(ctx)); len(got) != 3 || slices.Contains(got, gone) {
					t.Errorf("when %s is back these vote: %v", gone, got)
				}
			})
		})
	}
}
