package muster_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/mustertest"
)

// TestAnnouncedMember: whoever is asked shows what it has answered, a refusal has
// its code whoever leads, and a member that was announced goes by both its IDs.
func TestAnnouncedMember(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := mustertest.New(t, mustertest.Options{})
		c.Start()
		c.Ready(ctx)
		leader := c.Leader(ctx)
		var via *mustertest.Member
		for _, name := range []string{"n1", "n2"} {
			if m := c.Member(name); m != leader {
				via = m
			}
		}
		url := []string{"http://" + mustertest.Addr("n4")}
		a, err := via.Announce(ctx, url, true)
		if err != nil || a.ID == 0 || a.Index == 0 {
			t.Fatalf("announced %+v, %v", a, err)
		}
		if s := via.Status(); len(s.Announced) != 1 || s.Announced[0].ID != a.ID || !slices.Equal(s.Announced[0].PeerURLs, url) {
			t.Errorf("who answered shows %+v", s.Announced)
		}
		refused := func(code string, err error) {
			t.Helper()
			var r *muster.RefusedError
			if !errors.As(err, &r) || r.Code != code || !errors.Is(err, muster.ErrRefused) {
				t.Errorf("%v, want a refusal with the code %s", err, code)
			}
		}
		_, err = via.Announce(ctx, url, false)
		refused("peer_addr_taken", err)
		refused("not_there", via.Promote(ctx, a.ID))
		refused("unknown_member", via.Promote(ctx, 77))
		refused("unknown_member", via.Remove(ctx, 77))

		n4 := c.Join(ctx, "n4")
		c.Until(ctx, "it can be promoted", func() bool { return via.Promote(ctx, a.ID) == nil })
		m, ok := via.Status().Known(a.ID)
		if !ok || m.ID != id(n4) || m.Alias != a.ID || m.Wanted != cluster.Voter {
			t.Errorf("promoted, it is %+v", m)
		}
		if g := n4.Glance(); g.Self != id(n4) || g.Alias != a.ID {
			t.Errorf("it goes by %+v", g)
		}
		refused("not_learner", via.Promote(ctx, a.ID))

		b, err := via.Announce(ctx, []string{"http://" + mustertest.Addr("n5")}, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := via.Remove(ctx, b.ID); err != nil {
			t.Errorf("take it back: %v", err)
		}
		if err := n4.Remove(ctx, a.ID); err != nil { // itself, by its alias
			t.Errorf("remove it: %v", err)
		}
		select {
		case <-n4.Done():
		case <-time.After(time.Minute):
			t.Error("it goes on after its removal")
		}
		if err := n4.Err(); !errors.Is(err, muster.ErrRemoved) {
			t.Errorf("it ended with %v", err)
		}
	})
}
