package muster_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/race"
	"github.com/musterhq/muster/internal/wire"
	"github.com/musterhq/muster/mustertest"
)

// TestHundredJoinsAtOnce: a hundred nodes ask to join at the same moment. They
// are let in some at a time, in turn, and all are answered. Some crash before
// they are in and leave nothing behind. One that asks again gets the same answer.
func TestHundredJoinsAtOnce(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := formed(t, mustertest.Options{})
		lead := c.Leader(ctx)
		fill(t, lead, "a", 20, 10)
		joiners, crashed, asking := 100, 10, 3 // those that crash are the first of the joiners
		if race.Enabled {
			joiners, crashed = 30, 3 // a hundred take minutes then
		}
		var names []string
		for i := range joiners {
			names = append(names, fmt.Sprintf("j%02d", i))
		}
		strangers := newStrangers(t, c, asking)
		begun := time.Now()
		c.Start(names...)
		most := 0
		told := map[string]bool{}
		watch := func() {
			s := lead.Status()
			empty := 0
			for _, m := range s.Members {
				if m.Role == cluster.Learner && m.Match == 0 {
					empty++
				}
			}
			most = max(most, empty)
			for _, name := range names {
				if why(c.Member(name), "rate_limited", "wait before it") {
					told[name] = true
				}
			}
			if why(lead, "joins_wait", "joins wait: ") {
				told["the leader"] = true
			}
		}
		for range 20 {
			time.Sleep(10 * time.Millisecond)
			watch()
		}
		c.Crash(names[:crashed]...)
		live := names[crashed:]
		c.Until(ctx, "all that did not crash have joined", func() bool {
			watch()
			for _, name := range live {
				if !c.Member(name).Saw("joined") {
					return false
				}
			}
			return true
		})
		t.Logf("all were in after %v, at most %d had nothing yet, %d were told to wait", time.Since(begun), most, len(told))
		if most > 8 || most < 2 {
			t.Errorf("%d newcomers had nothing yet at a time", most)
		}
		if len(told) < joiners/2 || !told["the leader"] {
			t.Errorf("%d of %d were told that they wait; the leader: %v", len(told), joiners, told["the leader"])
		}
		for _, s := range strangers {
			first := joined(t, c, s, "n1")
			again, err := s.join(ctx, "n2")
			if err != nil || again.Status != wire.JoinDone || again.Membership == nil || first.Membership == nil {
				t.Errorf("%s asked again: %+v, %v", s.self.Name, again, err)
			}
		}
		c.Ready(ctx, live...)
		c.Agree(ctx)
		c.Until(ctx, "nobody waits", func() bool { return !why(lead, "joins_wait") })
		oneLineEach(t, lead, append(live, c.Founders()...))
	})
}

func newStrangers(t *testing.T, c *mustertest.Cluster, n int) (out []*stranger) {
	for i := range n {
		out = append(out, newStranger(t, c, fmt.Sprintf("s%d", i), cluster.ClusterID{}))
	}
	return out
}

// oneLineEach makes sure that each is a member once.
func oneLineEach(t *testing.T, m *mustertest.Member, names []string) {
	t.Helper()
	have := lines(m.Status())
	for _, name := range names {
		if n := strings.Count(have, " "+name+" "); n != 1 {
			t.Errorf("%s is a member %d times", name, n)
		}
	}
}
