package main

import (
	"context"
	"testing"
	"time"
)

// TestSystems: each contestant founds a cluster, applies what it acknowledges,
// and ends.
func TestSystems(t *testing.T) {
	for name, start := range systems() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			c, err := start(ctx, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			before := c.Applied()
			for range 20 {
				if err := c.Propose(ctx, []byte("command")); err != nil {
					t.Error(err)
				}
			}
			if got := c.Applied() - before; got != 20 {
				t.Errorf("acknowledged 20 commands and applied %d", got)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUnknownSystem(t *testing.T) {
	if _, err := startOf("paxos"); err == nil || err.Error() != `unknown system "paxos": choose from hashicorp, hashicorp-tuned, muster` {
		t.Error(err)
	}
}
