package replica

import (
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// proposals are the commands that wait to be put into the log here, or to be
// sent to the leader.
type proposals struct {
	next      uint64 // number of this member's next command
	waiting   []proposal
	bytes     int64                     // of the waiting commands
	handed    handed                    // those that wait no more, but for an outcome
	led       uint64                    // the last term that this member led since it was started; 0: none
	forwarded map[cluster.NodeID]uint64 // highest number seen from each follower in that term
	group     []byte                    // scratch: the entry that is proposed, which raft copies
}

type proposal struct {
	id  wire.RequestID
	cmd []byte
}

// Propose queues a command, which is kept, and returns its number. Its outcome
// is certain only while it waits: see [Replica.Withdraw].
func (r *Replica) Propose(cmd []byte) uint64 {
	p := &r.proposals
	seq := p.next
	p.next++
	p.waiting = append(p.waiting, proposal{wire.RequestID{Origin: r.cfg.Self.ID, Seq: seq}, cmd})
	p.bytes += int64(len(cmd))
	return seq
}

// Withdraw takes back a command that still waits. True: it did not happen and
// will not. False: it was handed on, and nobody knows yet.
func (r *Replica) Withdraw(seq uint64) bool {
	p := &r.proposals
	i := slices.IndexFunc(p.waiting, func(w proposal) bool { return w.id.Seq == seq && w.id.Origin == r.cfg.Self.ID })
	if i < 0 {
		return false
	}
	p.bytes -= int64(len(p.waiting[i].cmd))
	p.waiting = takeOut(p.waiting, i)
	return true
}

// takeOut takes the i-th out of a list. As a rule it is the first: when there is no
// leader, all give up, who has waited longest first.
func takeOut[T any](list []T, i int) []T {
	if i == 0 {
		clear(list[:1])
		return list[1:]
	}
	return slices.Delete(list, i, i+1)
}

// Waiting is how many commands wait, and their bytes.
func (r *Replica) Waiting() (int, int64) { return len(r.proposals.waiting), r.proposals.bytes }

// Forwarded takes commands that a follower sent to its leader. Only the leader
// of the very term takes them; afterwards it still knows what it took, and says
// so of the rest. A follower sends in ascending order, so a number at or below
// the highest one seen in the term is a duplicate or has been overtaken: it is
// dropped without a word, as is what was sent to an older term or boot, for
// nobody knows any more what became of its first copy.
func (r *Replica) Forwarded(from cluster.NodeID, f wire.Forward) {
	p := &r.proposals
	if f.First.Origin != from {
		return // not its own: numbers of others could not be told apart
	}
	if f.Term == 0 || f.Term != p.led || f.First.Seq <= p.forwarded[from] {
		return
	}
	p.forwarded[from] = f.First.Seq + uint64(len(f.Cmds)) - 1
	if r.termStart == 0 || f.Term != r.basic.GetTerm() {
		r.reject(from, f, false)
		return
	}
	if p.bytes > r.cfg.MaxPendingBytes {
		r.reject(from, f, true)
		return
	}
	id := f.First
	for _, c := range f.Cmds {
		p.waiting = append(p.waiting, proposal{id, c})
		p.bytes += int64(len(c))
		id.Seq++
	}
}

// Rejected takes a leader's word that forwarded commands were not proposed.
func (r *Replica) Rejected(x wire.ForwardReject) {
	if x.First.Origin == r.cfg.Self.ID {
		r.lost(r.proposals.handed.among(x.First.Seq, x.First.Seq+x.Count), x.Overloaded)
	}
}

func (r *Replica) reject(to cluster.NodeID, f wire.Forward, overloaded bool) {
	b := r.sends.to(to)
	b.Rejects = append(b.Rejects, wire.ForwardReject{First: f.First, Count: uint64(len(f.Cmds)), Overloaded: overloaded})
}

// rejectForeign returns what followers sent to this member when it led.
func (r *Replica) rejectForeign() {
	p := &r.proposals
	own := p.waiting[:0]
	for _, w := range p.waiting {
		if w.id.Origin == r.cfg.Self.ID {
			own = append(own, w)
			continue
		}
		p.bytes -= int64(len(w.cmd))
		b := r.sends.to(w.id.Origin)
		b.Rejects = append(b.Rejects, wire.ForwardReject{First: w.id, Count: 1})
	}
	clear(p.waiting[len(own):])
	p.waiting = own
}

// flush hands on what waits, as far as it may.
func (r *Replica) flush() {
	if r.termStart > 0 {
		r.proposeChange()
		r.proposeGroup()
	} else {
		r.forward()
	}
	r.issueReads()
}

// proposeGroup puts all that waits into one entry, when the log is free: many
// commands then share one entry and one sync.
func (r *Replica) proposeGroup() {
	p := &r.proposals
	if len(p.waiting) == 0 || r.appends >= r.cfg.MaxAppends || r.mayLoseVote() || r.handingOver() {
		return
	}
	n, size := r.groupLen(p.waiting)
	data := append(slices.Grow(p.group[:0], 1+size), byte(wire.EntryCommands))
	data = r.appendGroups(data, p.waiting[:n])
	if p.group = data[:0]; cap(data) > maxKeptGroup {
		p.group = nil
	}
	err := r.raft.Step(&raftpb.Message{
		Type: raftpb.MsgProp.Enum(), From: new(uint64(r.cfg.Self.ID)),
		Entries: []*raftpb.Entry{{Data: data}},
	})
	if err != nil {
		return // too much is uncommitted, or leadership moves: it goes on waiting
	}
	// The entry is of this term: raft would have refused it in any later one,
	// and leads none before an Effects has told so.
	r.last++
	r.took(n)
}

// maxKeptGroup bounds the memory that is kept from one entry for the next. Bytes.
const maxKeptGroup = 2 << 20

// forward sends what waits to the leader, once.
func (r *Replica) forward() {
	p := &r.proposals
	for len(p.waiting) > 0 && r.basic.Lead != raft.None && r.basic.Lead != uint64(r.cfg.Self.ID) {
		n, _ := r.groupLen(p.waiting)
		run := runLen(p.waiting[:n])
		f := wire.Forward{Term: r.basic.GetTerm(), First: p.waiting[0].id, Cmds: commands(p.waiting[:run])}
		b := r.sends.to(cluster.NodeID(r.basic.Lead))
		b.Forwards = append(b.Forwards, f)
		r.took(run)
	}
}

// took removes the first n that waited: they were handed on in this term.
func (r *Replica) took(n int) {
	p := &r.proposals
	for _, w := range p.waiting[:n] {
		p.bytes -= int64(len(w.cmd))
		if w.id.Origin == r.cfg.Self.ID {
			p.handed.add(r.basic.GetTerm(), w.id.Seq)
		}
	}
	rest := copy(p.waiting, p.waiting[n:])
	clear(p.waiting[rest:])
	p.waiting = p.waiting[:rest]
}

// groupLen is how many of the waiting commands fit into one entry, at least
// one, and how many bytes they take at most.
func (r *Replica) groupLen(waiting []proposal) (n, size int) {
	for n < len(waiting) {
		more := wire.CommandOverhead + len(waiting[n].cmd)
		if n > 0 && size+more > r.cfg.MaxGroupBytes {
			break
		}
		size += more
		n++
	}
	return n, size
}

func (r *Replica) appendGroups(data []byte, waiting []proposal) []byte {
	for len(waiting) > 0 {
		n := runLen(waiting)
		data = wire.AppendGroupHead(data, waiting[0].id, n)
		for _, w := range waiting[:n] {
			data = wire.AppendCommand(data, w.cmd)
		}
		waiting = waiting[n:]
	}
	return data
}

// runLen is how many of waiting, from the first on, are one member's with
// consecutive numbers. It is at least 1.
func runLen(waiting []proposal) int {
	n := 1
	for n < len(waiting) && waiting[n].id.Origin == waiting[0].id.Origin && waiting[n].id.Seq == waiting[n-1].id.Seq+1 {
		n++
	}
	return n
}

func commands(waiting []proposal) [][]byte {
	cmds := make([][]byte, len(waiting))
	for i, w := range waiting {
		cmds[i] = w.cmd
	}
	return cmds
}
