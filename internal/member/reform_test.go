package member

import (
	"errors"
	"testing"

	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/internal/wire"
)

// A member that is told, or sees, that the cluster was re-formed without it ends,
// and doesn't start again, though nobody is there to tell it a second time.
func TestOutdatedForGood(t *testing.T) {
	newer := someone("n2", 1, "a")
	newer.Generation = 1
	for name, hear := range map[string]func(s *still){
		"told": func(s *still) {
			s.m.Refused(&wire.Refusal{Code: wire.RefusedOldGeneration, Reason: "because", From: newer.Self, Member: s.m.state.ClusterID})
		},
		"met": func(s *still) {
			newer.ClusterID = s.m.state.ClusterID
			s.m.Met(newer)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStill(t, 1<<20)
			hear(s)
			if !errors.Is(s.failed, ErrOldGeneration) {
				t.Fatalf("it goes on: %v", s.failed)
			}
			again, err := bootStill(t, s.fs.Crash(crashfs.Mode(0), 1), 1<<20)
			if !errors.Is(err, ErrOldGeneration) {
				t.Fatalf("it starts again: %+v, %v", again, err)
			}
		})
	}
}
