package formation

import (
	"slices"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// noteKind is what a note may do.
type noteKind uint8

const (
	isQuestion noteKind = iota // may reach its host at any time, again and again, or never
	isAnswer                   // the same, but only the boot that asked
	isSight                    // a member as a probe or another call shows it; anybody may see it
	isFact                     // nobody sees it; the rules speak of it
)

// note is something that has left a node or has happened, and can't be taken
// back. Each is kept once, however often it was sent.
type note struct {
	id   uint16
	hash uint64
	kind noteKind
	from int // host
	to   int // host of a question or an answer
	disk int // which disk of the asker it belongs to
	msg  message
	text string

	ballot wire.Ballot // of a question or an answer about one
	real   *founding   // the fact that most of its founders had it on their disks at one moment
	accept *acceptance // the fact that this was made durable
}

func ballotOf(m message) wire.Ballot {
	switch {
	case m.req != nil && m.req.Prepare != nil:
		return m.req.Prepare.Ballot
	case m.req != nil && m.req.Accept != nil:
		return m.req.Accept.Ballot
	case m.resp != nil && m.resp.Promise != nil:
		return m.resp.Promise.Ballot
	case m.resp != nil && m.resp.Accept != nil:
		return m.resp.Accept.Ballot
	}
	return wire.Ballot{}
}

// addressee is the disk to which a question is addressed; zero: any.
func (n *note) addressee() cluster.Incarnation {
	switch r := n.msg.req; {
	case r == nil:
	case r.Prepare != nil:
		return r.Prepare.To
	case r.Accept != nil:
		return r.Accept.To
	}
	return cluster.Incarnation{}
}

// founding is a genesis by which a node was founded.
type founding struct {
	id       cluster.ClusterID
	genesis  wire.Genesis
	founders []disk
	accepted []*note // the facts that each founder accepted it
	real     *note   // the fact that it became real
}

// lost says that no founder of a cluster keeps its disk and its seed address, or
// that those which do have given the cluster up on an operator's word.
func (f *founding) lost(nodes []*nodeState) bool {
	return !slices.ContainsFunc(f.founders, func(d disk) bool {
		s := nodes[d.host]
		return s.nth == d.nth && !slices.Contains(s.n.disk.Abandoned, f.id)
	})
}

// holders counts the founders that are founded on their disks.
func (f *founding) holders(nodes []*nodeState) int {
	count := 0
	for _, s := range nodes {
		if s.in == f && s.n.disk.Founded {
			count++
		}
	}
	return count
}
