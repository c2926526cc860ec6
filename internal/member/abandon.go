package member

import (
	"errors"

	"github.com/musterhq/muster/internal/wire"
)

// AbandonGenesis is [formation.Former.Abandon]. On return without an error it
// survives power loss. Errors are a *wire.Nack: it did not happen.
func (m *Member) AbandonGenesis(gone []string) error {
	switch {
	case m.failed:
		return &wire.Nack{Code: "stopped", Reason: "the node is stopping"}
	case m.former == nil:
		return &wire.Nack{Code: "not_blank", Reason: "this node is a member of a cluster: nothing keeps it from one"}
	}
	if err := m.former.Abandon(gone); err != nil {
		return err
	}
	if m.Drive(); m.failed {
		return errors.New("the disk failed: nobody knows whether it was written")
	}
	m.publish()
	return nil
}
