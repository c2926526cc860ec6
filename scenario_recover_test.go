package muster_test

import (
	"errors"
	"testing"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/mustertest"
)

// TestForceNew: an embedder re-forms its cluster around one member. It keeps what
// was acknowledged and what it holds; the others are told what has happened, and
// join again once their directories are empty.
func TestForceNew(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{})
		propose(t, c.Leader(ctx), "before")
		if _, err := muster.ForceNew(c.Dir("n1"), muster.ForceNewOptions{Cluster: "muster"}); !errors.Is(err, muster.ErrData) {
			t.Fatalf("while it runs: %v", err)
		}
		c.Stop(ctx)
		best, err := muster.Inspect(c.Dir("n1"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range c.Founders() {
			r, err := muster.Inspect(c.Dir(name))
			if err != nil || len(r.Members) != 3 || r.Unfit != "" {
				t.Fatalf("%s: %+v, %v", name, r, err)
			}
			if r.Compare(&best) > 0 {
				best = r
			}
		}
		out, err := muster.ForceNew(best.Dir, muster.ForceNewOptions{Cluster: "muster"})
		if err != nil || out.Kept != best.LastIndex || len(out.Lost) != 2 {
			t.Fatalf("%+v, %v", out, err)
		}
		c.Start(best.Name)
		c.Ready(ctx, best.Name)
		propose(t, c.Member(best.Name), "after")
		for _, lost := range out.Lost {
			c.Start(lost.Name)
			m := c.Member(lost.Name)
			ended(t, m)
			if err := m.Err(); !errors.Is(err, muster.ErrOldGeneration) || !errors.Is(err, muster.ErrData) || errors.Is(err, muster.ErrRemoved) {
				t.Fatalf("%s ended with %v", lost.Name, err)
			}
			c.Crash(lost.Name)
			if _, err := c.TryStart(lost.Name); !errors.Is(err, muster.ErrOldGeneration) {
				t.Fatalf("%s started again: %v", lost.Name, err)
			}
			if !why(c.Member(best.Name), "peer_refused", lost.Name, "generation 0") {
				t.Errorf("it doesn't say whom it refused: %+v", c.Member(best.Name).Why())
			}
			c.Wipe(lost.Name)
			c.Start(lost.Name)
			c.Ready(ctx, lost.Name)
		}
		once(t, c, "before", "after")
		if s := c.Member(out.Lost[0].Name).Status(); s.Generation != 1 || len(s.Members) != 3 {
			t.Fatalf("generation %d, members %+v", s.Generation, s.Members)
		}
	})
}

// TestForceNewByMistake: somebody re-forms the cluster around one member, though
// the majority is well and goes on. That one wins, since the others can't know
// better; but they keep what they have, and the mistake can be undone.
func TestForceNewByMistake(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{})
		propose(t, c.Leader(ctx), "before")
		c.Agree(ctx)
		c.Stop(ctx, "n3")
		propose(t, c.Leader(ctx), "meanwhile")
		c.Agree(ctx)
		if _, err := muster.ForceNew(c.Dir("n3"), muster.ForceNewOptions{}); err != nil {
			t.Fatal(err)
		}
		c.Start("n3")
		for _, name := range []string{"n1", "n2"} {
			ended(t, c.Member(name))
		}
		c.Ready(ctx, "n3")
		c.Crash("n1", "n2", "n3")
		if _, err := muster.ForceNew(c.Dir("n1"), muster.ForceNewOptions{}); !errors.Is(err, muster.ErrData) {
			t.Fatalf("nobody said that it was a mistake: %v", err)
		}
		out, err := muster.ForceNew(c.Dir("n1"), muster.ForceNewOptions{Outdated: true})
		if err != nil || out.Generation != 2 {
			t.Fatalf("%+v, %v", out, err)
		}
		c.Start("n1")
		c.Ready(ctx, "n1")
		c.Start("n3")
		ended(t, c.Member("n3"))
		if err := c.Member("n3").Err(); !errors.Is(err, muster.ErrOldGeneration) {
			t.Fatalf("n3 ended with %v", err)
		}
		c.Crash("n3")
		for _, name := range []string{"n2", "n3"} {
			c.Wipe(name)
			c.Start(name)
		}
		c.Ready(ctx)
		once(t, c, "before", "meanwhile")
	})
}

// TestForceNewTwice: the cluster is re-formed around two of its members. They
// stay two, none ends the other, and both say so.
func TestForceNewTwice(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{})
		propose(t, c.Leader(ctx), "before")
		c.Stop(ctx)
		for _, name := range []string{"n1", "n2"} {
			if _, err := muster.ForceNew(c.Dir(name), muster.ForceNewOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		c.Start("n1", "n2")
		for _, name := range []string{"n1", "n2"} {
			c.Until(ctx, name+" leads alone", func() bool { s := c.Member(name).Status(); return s.Leader == s.Self.ID })
			c.Until(ctx, name+" says that there are two", func() bool { return why(c.Member(name), "peer_refused", "twice") })
			if s := c.Member(name).Status(); len(s.Members) != 1 {
				t.Errorf("%s: %+v", name, s.Members)
			}
		}
	})
}
