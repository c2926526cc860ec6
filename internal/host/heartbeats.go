package host

import (
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
)

// beat is the newest heartbeat of a peer, or answer to one, of those that wait.
type beat struct {
	from    cluster.NodeID
	typ     raftpb.MessageType
	term    uint64
	context bool // it confirms reads
}

// withoutStaleBeats leaves out of what waits each heartbeat, and each answer to
// one, that says nothing which a later one of the same peer doesn't: the later
// one commits and confirms as much.
//
// They wait by the thousand where a peer was down or asleep while many read, for
// every round of reads sends one. Raft would answer each, and a leader sends up to
// a mebibyte of its log for every answer of a member that lags: the same again and
// again, for so long that the others elect another.
func withoutStaleBeats(in []inbound) []inbound {
	var seen []beat // of few peers
	for i := len(in) - 1; i >= 0; i-- {
		b := in[i].batch
		stale := func(m *raftpb.Message) bool { return needless(&seen, in[i].from, m) }
		if kept := filterFromEnd(b.Raft, stale); len(kept) < len(b.Raft) {
			fresh := *b // the batch may be its sender's yet, in memory
			fresh.Raft = kept
			in[i].batch = &fresh
		}
	}
	return in
}

// needless notes m among those seen, which come after it, and says whether one of
// them stands for it.
func needless(seen *[]beat, from cluster.NodeID, m *raftpb.Message) bool {
	typ := m.GetType()
	if typ != raftpb.MsgHeartbeat && typ != raftpb.MsgHeartbeatResp {
		return false
	}
	context := len(m.GetContext()) > 0
	for i := range *seen {
		s := &(*seen)[i]
		if s.from != from || s.typ != typ || s.term != m.GetTerm() {
			continue
		}
		if s.context || !context {
			return true
		}
		s.context = true
		return false
	}
	*seen = append(*seen, beat{from, typ, m.GetTerm(), context})
	return false
}

// filterFromEnd asks about each message, the last one first, and returns those
// that are not to go, in their order; all itself when none is.
func filterFromEnd(all []*raftpb.Message, goes func(*raftpb.Message) bool) []*raftpb.Message {
	var kept []*raftpb.Message // in reverse, from the first that goes on
	for i := len(all) - 1; i >= 0; i-- {
		switch gone := goes(all[i]); {
		case gone && kept == nil:
			kept = make([]*raftpb.Message, 0, len(all))
			for j := len(all) - 1; j > i; j-- {
				kept = append(kept, all[j])
			}
		case !gone && kept != nil:
			kept = append(kept, all[i])
		}
	}
	if kept == nil {
		return all
	}
	slices.Reverse(kept)
	return kept
}
