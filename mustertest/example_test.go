package mustertest_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/musterhq/muster/mustertest"
)

// A test of a program that embeds muster: what was acknowledged outlives the
// leader's crash.
func Example() {
	_ = func(t *testing.T) { // func TestLeaderCrash
		synctest.Test(t, func(t *testing.T) {
			c := mustertest.New(t, mustertest.Options{})
			c.Start()
			c.Ready(t.Context())
			leader := c.Leader(t.Context())
			if _, err := leader.Propose(t.Context(), []byte("a")); err != nil {
				t.Fatal(err)
			}
			c.Crash(leader.Name)
			next := c.Leader(t.Context())
			if next.Journal().Count("a") != 1 {
				t.Errorf("%s has lost it", strings.Join(c.Others(leader.Name), " or "))
			}
		})
	}
}
