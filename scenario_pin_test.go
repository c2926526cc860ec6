package muster_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/mustertest"
)

// TestAllDisksWipedButPins: every member loses its disk, and no second cluster
// comes out of their seeds while the pin of one is there.
func TestAllDisksWipedButPins(t *testing.T) {
	story(t, func(t *testing.T) {
		pins := t.TempDir()
		pin := func(name string) string { return filepath.Join(pins, name) }
		c := mustertest.New(t, mustertest.Options{Config: func(name string, c *muster.Config) { c.PinFile = pin(name) }})
		c.Start()
		c.Ready(t.Context())
		c.Join(t.Context(), "n4")
		id := c.Member("n1").Status().ClusterID.String()
		c.Crash()
		for _, name := range c.Founders() {
			c.Wipe(name)
		}
		c.Wipe("n4")
		for _, name := range []string{"n1", "n3", "n4"} {
			if err := os.Remove(pin(name)); err != nil {
				t.Fatal(err)
			}
		}
		c.Start()
		time.Sleep(while(5 * time.Minute))
		for _, name := range c.Running() {
			inNoCluster(t, c.Member(name))
		}
		if !why(c.Member("n2"), "pinned", id) || !why(c.Member("n1"), "seed_pinned", "n2", id) {
			t.Errorf("nobody says what is in the way:\n%s", c.Describe())
		}
		c.Crash("n2")
		if err := os.WriteFile(pin("n2"), []byte("?"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.TryStart("n2"); !errors.Is(err, muster.ErrData) {
			t.Errorf("a damaged pin: %v", err)
		}
		if err := os.Remove(pin("n2")); err != nil {
			t.Fatal(err)
		}
		c.Start("n2")
		c.Ready(within(t, time.Minute))
		oneCluster(t, c)
		if got := c.Member("n1").Status().ClusterID.String(); got == id {
			t.Error("the same ID")
		}
	})
}
