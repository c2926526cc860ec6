package host

import (
	"errors"
	"testing"

	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/wire"
)

// TestChangesOutside: a node that is in no cluster yet is told apart from one that was
// removed, to which its own removal has happened, also a moment before it stops for it.
func TestChangesOutside(t *testing.T) {
	h := &Host{ctx: t.Context()}
	h.cfg.Self.NodeID = 7
	for stage, want := range map[wire.Stage]error{wire.Blank: ErrNotMember, wire.Promised: ErrNotMember, wire.Removed: ErrRemoved} {
		h.live.view.Store(&member.View{Stage: stage})
		if err := h.SetPolicy(t.Context(), nil, ""); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", stage, err, want)
		}
		if err := h.Leave(t.Context(), false); (err == nil) != (stage == wire.Removed) {
			t.Errorf("%s: leave: %v", stage, err)
		}
	}
}
