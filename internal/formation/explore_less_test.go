package formation

import (
	"slices"

	"github.com/musterhq/muster/internal/wire"
)

// What is here, and in walker.read, attempts and faults, makes the search smaller and takes
// nothing from what it finds: TestReductionsLoseNothing compares it with a
// search that does without.

// over says that a question or an answer can change nothing any more at the
// node that it is for, so that whether it is still under way makes no
// difference. The real code has to agree.
func (w *walker) over(s *nodeState, n *note) bool {
	if n.kind == isAnswer && s.ended(n.disk) {
		return true
	}
	if n.ballot.IsZero() || w.x.literal {
		return false
	}
	nothing := func(codes ...string) bool {
		r := w.result(s, arrives|input(n.id))
		return r.nothing(s) && (len(codes) == 0 || slices.Contains(codes, r.no))
	}
	switch {
	case n.kind == isAnswer:
		old := s.n.f != nil && s.n.f.try != nil && n.ballot.Compare(s.n.f.try.ballot) < 0
		return old && nothing()
	case n.addressee() != s.n.cfg.Self.Incarnation: // and the disk addressed never comes back
		return nothing(codeWrongDisk, codeNotBlank)
	case s.in != nil: // a member for good, and the next disk is another
		return nothing(codeNotBlank)
	case n.ballot.Compare(s.n.disk.Promised) < 0: // promises never fall
		return nothing(codeBallotLow)
	}
	return false
}

// ended says that a disk's node is no longer forming.
func (s *nodeState) ended(nth int) bool { return s.n.f == nil || s.nth != nth }

// moot says that a question to be let in is not asked any more.
func (n *note) moot(s *step) bool {
	return n.kind == isQuestion && n.msg.req.Join != nil && n.from == s.host && s.to.ended(n.disk)
}

// tells says whether it makes a difference to a node to see a member. To one
// that accepted nothing it is only news that there is another cluster, and only
// a probe tells of one that can be joined.
func (w *walker) tells(s *nodeState, n *note) bool {
	if w.x.literal || s.n.disk.Stage == wire.Accepted {
		return true
	}
	return n.msg.resp.Probe != nil && !slices.ContainsFunc(s.n.f.peers, func(p peer) bool {
		return p.in(s.n.cfg.Cluster) && p.hello.ClusterID == n.msg.hello.ClusterID
	})
}
