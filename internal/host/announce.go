package host

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/wire"
)

// RefusedError is an ErrRefused that says which rule it was.
type RefusedError struct {
	Code   string // stable snake_case name
	Reason string // one sentence, and the way out
}

// Error implements error.
func (e *RefusedError) Error() string { return fmt.Sprintf("%v: %s", ErrRefused, e.Reason) }

// Unwrap makes it an ErrRefused.
func (e *RefusedError) Unwrap() error { return ErrRefused }

// RefusalCode is the Code, for those who don't know this type.
func (e *RefusedError) RefusalCode() string { return e.Code }

// Announce says that a member is to come; see muster.Node.Announce.
func (h *Host) Announce(ctx context.Context, peerURLs []string, learner bool) (cluster.Announced, error) {
	a := cluster.Announced{ID: newID(), PeerURLs: peerURLs, Learner: learner, At: time.Now().UnixMilli()}
	index, err := h.changeMember(ctx, wire.Step{Op: wire.OpAnnounce, Member: cluster.Member{ID: a.ID}, Announced: &a})
	a.Index = index
	return a, err
}

// Promote asks for a learner's promotion; see muster.Node.Promote.
func (h *Host) Promote(ctx context.Context, id cluster.NodeID) error {
	_, err := h.changeMember(ctx, wire.Step{Op: wire.OpVote, Member: cluster.Member{ID: id}})
	return err
}

// Readdress notes where a member will be; see muster.Node.Readdress.
func (h *Host) Readdress(ctx context.Context, id cluster.NodeID, peerURLs []string) error {
	_, err := h.changeMember(ctx, wire.Step{Op: wire.OpReaddress, Member: cluster.Member{ID: id}, Announced: &cluster.Announced{ID: id, PeerURLs: peerURLs}})
	return err
}

// changeMember carries out one step, and returns when this node shows it, if
// that is before ctx ends: it has happened either way.
func (h *Host) changeMember(ctx context.Context, s wire.Step) (index uint64, err error) {
	reply, err := h.Change(ctx, wire.Change{Steps: []wire.Step{s}, Why: "asked for"})
	if err != nil {
		return 0, err
	}
	_ = h.wait(ctx, func(v *member.View) bool { return v.Status.Applied >= reply.Index })
	return reply.Index, nil
}

// newID is an ID that nobody else draws, and none that raft keeps for itself.
func newID() cluster.NodeID {
	var i cluster.Incarnation
	_, _ = rand.Read(i[:]) // never fails: crypto/rand ends the program instead
	return i.NodeID()
}
