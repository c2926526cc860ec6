package muster_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/mustertest"
)

// TestJoinToken: who has another token than the others, or none, neither founds
// with them nor joins them, and both sides say so. One after the other, members
// get a new token while the old one is still taken.
func TestJoinToken(t *testing.T) {
	const old, next = "an old token of the cluster", "the new token of the cluster"
	story(t, func(t *testing.T) {
		ctx := t.Context()
		token := map[string]string{"n1": old, "n2": old, "n3": next, "n4": ""}
		c := mustertest.New(t, mustertest.Options{Config: func(name string, cfg *muster.Config) { cfg.JoinToken = token[name] }})
		c.Start()
		for _, name := range []string{"n1", "n3"} {
			c.Until(ctx, name+" says that the tokens differ", func() bool {
				for _, r := range c.Member(name).Why() {
					if strings.Contains(r.Text, "token") {
						return true
					}
				}
				return false
			})
		}
		time.Sleep(time.Minute)
		if s := c.Member("n1").Status(); s.Stage == "member" {
			t.Fatalf("founded with one of another token: %+v", s)
		}
		token["n3"] = old
		c.Restart("n3")
		c.Ready(ctx)
		for _, wrong := range []string{"", next} {
			token["n4"] = wrong
			if wrong == "" {
				c.Start("n4")
			} else {
				c.Restart("n4")
			}
			c.Until(ctx, "n4 says that it is refused", func() bool {
				for _, r := range c.Member("n4").Why() {
					if strings.Contains(r.Text, "token") {
						return true
					}
				}
				return false
			})
			c.Until(ctx, "a member says so", func() bool { return why(c.Member("n1"), "peer_refused", "n4", "token") })
			if s := c.Member("n1").Status(); len(s.Members) != 3 {
				t.Fatalf("it got in: %+v", s.Members)
			}
		}
		token["n4"] = old
		c.Restart("n4")
		c.Ready(ctx, "n4")

		for _, step := range []string{old + "\n" + next, next + "\n" + old, next} {
			for _, name := range []string{"n1", "n2", "n3", "n4"} {
				token[name] = step
				c.Restart(name)
				c.Ready(ctx, name)
				propose(t, c.Member(name), step[:3]+name)
			}
		}
		token["n5"] = next
		c.Join(ctx, "n5")
	})
}

// A token that can be guessed is a fault, and is not shown.
func TestTokenFaults(t *testing.T) {
	for _, token := range []string{"short", " \n", strings.Repeat("x", 20) + "\nshort"} {
		err := muster.Config{Name: "a", DataDir: "d", Single: true, JoinToken: token}.Validate()
		if !errors.Is(err, muster.ErrConfig) || strings.Contains(err.Error(), "short") {
			t.Errorf("%q: %v", token, err)
		}
	}
}
