package snapshot

import (
	"encoding/json"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
)

// Meta says what state an image holds.
type Meta struct {
	Index      uint64 // of the last entry in it; never 0
	Term       uint64 // of that entry
	ConfState  *raftpb.ConfState
	Membership cluster.Membership // as of Index
}

// metaJSON spells out the ConfState, the joint configuration included, so that
// the form on disk is ours and not that of a protobuf library.
type metaJSON struct {
	Index      uint64             `json:"index"`
	Term       uint64             `json:"term"`
	ConfState  *confStateJSON     `json:"conf_state"`
	Membership cluster.Membership `json:"membership"`
}

type confStateJSON struct {
	Voters         []cluster.NodeID `json:"voters"`
	Learners       []cluster.NodeID `json:"learners,omitempty"`
	VotersOutgoing []cluster.NodeID `json:"voters_outgoing,omitempty"`
	LearnersNext   []cluster.NodeID `json:"learners_next,omitempty"`
	AutoLeave      bool             `json:"auto_leave,omitempty"`
}

// MarshalJSON implements [json.Marshaler].
func (m Meta) MarshalJSON() ([]byte, error) {
	out := metaJSON{Index: m.Index, Term: m.Term, Membership: m.Membership}
	if cs := m.ConfState; cs != nil {
		out.ConfState = &confStateJSON{
			Voters:         convert[cluster.NodeID](cs.GetVoters()),
			Learners:       convert[cluster.NodeID](cs.GetLearners()),
			VotersOutgoing: convert[cluster.NodeID](cs.GetVotersOutgoing()),
			LearnersNext:   convert[cluster.NodeID](cs.GetLearnersNext()),
			AutoLeave:      cs.GetAutoLeave(),
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (m *Meta) UnmarshalJSON(b []byte) error {
	var in metaJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*m = Meta{Index: in.Index, Term: in.Term, Membership: in.Membership}
	if cs := in.ConfState; cs != nil {
		m.ConfState = &raftpb.ConfState{
			Voters:         convert[uint64](cs.Voters),
			Learners:       convert[uint64](cs.Learners),
			VotersOutgoing: convert[uint64](cs.VotersOutgoing),
			LearnersNext:   convert[uint64](cs.LearnersNext),
			AutoLeave:      &cs.AutoLeave,
		}
	}
	return nil
}

func convert[To, From ~uint64](in []From) []To {
	if len(in) == 0 {
		return nil
	}
	out := make([]To, len(in))
	for i, v := range in {
		out[i] = To(v)
	}
	return out
}

func (m *Meta) check() error {
	switch {
	case m.Index == 0:
		return fmt.Errorf("%w: index 0", ErrInvalid)
	case m.ConfState == nil:
		return fmt.Errorf("%w: no configuration", ErrInvalid)
	}
	return nil
}
