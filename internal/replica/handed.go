package replica

import (
	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/internal/wire"
)

// handed are this member's own commands that were handed on, into the log here
// or to the leader, and of which it is open what became of them.
//
// Two things end that. A command can be in the log only in an entry of the
// term in which it was handed on (see Forwarded), and those of one member are
// in the log in the order of their numbers. So what has not been applied
// before an entry of a later term is, or before one with a higher number is,
// never will be.
type handed struct {
	spans []span // ascending, none empty
}

// span is consecutive numbers, half-open, handed on in one term.
type span struct{ term, first, end uint64 }

// add takes the next number. Numbers and terms ascend.
func (h *handed) add(term, seq uint64) {
	if n := len(h.spans); n > 0 && h.spans[n-1].term == term && h.spans[n-1].end == seq {
		h.spans[n-1].end++
		return
	}
	h.spans = append(h.spans, span{term, seq, seq + 1})
}

// before takes out what was handed on in a term below that one.
func (h *handed) before(term uint64) []span {
	n := 0
	for n < len(h.spans) && h.spans[n].term < term {
		n++
	}
	out := h.spans[:n]
	h.spans = h.spans[n:]
	return out
}

// applied takes out a number, and returns those below it, which it takes out too.
func (h *handed) applied(seq uint64) (below []span) {
	for len(h.spans) > 0 && h.spans[0].first <= seq {
		s := &h.spans[0]
		if s.first < seq {
			below = append(below, span{s.term, s.first, min(s.end, seq)})
		}
		if s.first = min(s.end, seq+1); s.first == s.end {
			h.spans = h.spans[1:]
		}
	}
	return below
}

// among takes out the numbers from first to below end.
func (h *handed) among(first, end uint64) (in []span) {
	var rest []span
	for _, s := range h.spans {
		rest = unlessEmpty(rest, span{s.term, s.first, min(s.end, first)})
		in = unlessEmpty(in, span{s.term, max(s.first, first), min(s.end, end)})
		rest = unlessEmpty(rest, span{s.term, max(s.first, end), s.end})
	}
	h.spans = rest
	return in
}

func unlessEmpty(list []span, s span) []span {
	if s.first < s.end {
		return append(list, s)
	}
	return list
}

// learn takes what an applied entry tells of the commands that were handed on.
func (r *Replica) learn(e *raftpb.Entry) error {
	h := &r.proposals.handed
	r.lost(h.before(e.GetTerm()), false)
	data := e.GetData()
	if len(h.spans) == 0 || e.GetType() != raftpb.EntryNormal || len(data) == 0 || wire.EntryKind(data[0]) != wire.EntryCommands {
		return nil
	}
	return wire.ReadCommands(data, func(id wire.RequestID, _ []byte) {
		if id.Origin == r.cfg.Self.ID {
			r.lost(h.applied(id.Seq), false)
		}
	})
}

// lost says of commands that they did not happen.
func (r *Replica) lost(spans []span, overloaded bool) {
	for _, s := range spans {
		r.out.Dropped = append(r.out.Dropped, Dropped{First: s.first, Count: s.end - s.first, Overloaded: overloaded})
	}
}
