package formation

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/musterhq/muster/internal/wire"
)

// Codes with which a node says no to a founding attempt; stable.
const (
	codeBallotLow = "ballot_low"
	codeNotBlank  = "not_blank"
	codeWrongDisk = "wrong_disk"
	codeSeeds     = "seeds_differ"
	codeExpect    = "expect_differs"
	codeUnseen    = "founder_unseen"
	codeTooMany   = "too_many_eligible"
	codeHeld      = "accepted_elsewhere"
	codeName      = "name_differs"
	codeJoinOnly  = "join_only"
	codeSingle    = "single"
	codeCluster   = "sees_cluster"
	codeMalformed = "malformed"
	codeNotMine   = "not_accepted"
	codePinned    = "pinned"
)

// promise answers Prepare. What it promises is in the Durable before it is in
// the reply.
func (f *Former) promise(h wire.Hello, r wire.Prepare) wire.Promise {
	code, why := f.mayPromise(h, r)
	if code == "" && r.Ballot.Compare(f.d.Promised) < 0 {
		code, why = codeBallotLow, fmt.Sprintf("promised attempt %d already", f.d.Promised.Counter)
	}
	if code != "" {
		return wire.Promise{Ballot: f.d.Promised, Code: code, Refused: why}
	}
	if r.Ballot != f.d.Promised {
		f.promised(r.Ballot)
		if f.try != nil {
			f.spoilt++
		}
		f.try, f.quiet, f.yields = nil, 0, true
	}
	return wire.Promise{Ballot: r.Ballot, Accepted: f.d.Accepted, Genesis: f.d.Genesis}
}

// promised notes a promise.
func (f *Former) promised(b wire.Ballot) {
	f.d.Promised, f.dirty = b, true
	f.highest = max(f.highest, b.Counter)
	if f.d.Stage == wire.Blank {
		f.d.Stage = wire.Promised
	}
}

// mayPromise checks all of a Prepare but its ballot's height.
func (f *Former) mayPromise(h wire.Hello, r wire.Prepare) (code, why string) {
	if code, why = f.mayFound(); code != "" {
		return code, why
	}
	self := f.cfg.Self.Incarnation
	named := func(i wire.Identity) bool { return i.Incarnation == self }
	sorted := slices.IsSortedFunc(r.Founders, func(a, b wire.Identity) int { return a.Incarnation.Compare(b.Incarnation) })
	switch {
	case r.To != self:
		return codeWrongDisk, fmt.Sprintf("the node at this address has another data directory now (incarnation %s)", self)
	case h.Cluster != f.cfg.Cluster:
		return codeName, fmt.Sprintf("this node belongs to a cluster named %q", f.cfg.Cluster)
	case r.Expect != f.cfg.Expect:
		return codeExpect, f.founding()
	case f.cfg.Mode == Static && !sameSet(f.cfg.Seeds, r.Seeds):
		return codeSeeds, f.founding()
	case !sorted, !slices.ContainsFunc(r.Founders, named), r.Ballot.Node != h.Self.Incarnation:
		return codeMalformed, "the founders are not sorted, or this node or the asking one is not among them"
	case f.cfg.Mode == Dynamic:
		return f.mayPromiseOpen(r.Founders)
	case len(r.Founders) != len(f.cfg.Seeds):
		return codeSeeds, fmt.Sprintf("%d founders for %d seeds", len(r.Founders), len(f.cfg.Seeds))
	}
	return "", ""
}

// founding says with whom this node founds, for people.
func (f *Former) founding() string {
	if f.cfg.Mode == Dynamic {
		return fmt.Sprintf("this node founds with whom it meets, and expects %d founders", f.cfg.Expect)
	}
	return fmt.Sprintf("this node's seeds are %s", list(f.cfg.Seeds))
}

// mayFound says whether this node takes part in any founding now.
func (f *Former) mayFound() (code, why string) {
	switch {
	case f.cfg.Mode == JoinOnly:
		return codeJoinOnly, "this node was told to join a cluster, never to found one"
	case f.cfg.Mode == Single:
		return codeSingle, "this node was told to found a cluster alone"
	case f.pinned():
		return codePinned, fmt.Sprintf("this node was in cluster %s, says its pin, and founds no other", f.cfg.Pin)
	case f.seesCluster():
		return codeCluster, "this node sees a cluster of that name, and joins it rather than found another"
	case f.unreadable():
		return codeMalformed, "this node can't read the genesis that it accepted"
	}
	return "", ""
}

// accept answers Accept. A genesis is accepted only at the very ballot that
// was promised: the coordinator chose it from the promises of all founders.
func (f *Former) accept(r wire.Accept) wire.AcceptReply {
	code, why := f.mayAccept(r)
	if code != "" {
		return wire.AcceptReply{Ballot: f.d.Promised, Code: code, Refused: why}
	}
	f.accepts(r.Ballot, r.Genesis)
	return wire.AcceptReply{Ballot: r.Ballot}
}

// accepts notes an accepted genesis.
func (f *Former) accepts(b wire.Ballot, raw []byte) {
	if f.d.Accepted == b && bytes.Equal(f.d.Genesis, raw) {
		return
	}
	f.d.Stage, f.d.Accepted, f.d.Genesis, f.dirty = wire.Accepted, b, raw, true
	f.setAccepted()
	f.quiet = 0
}

func (f *Former) mayAccept(r wire.Accept) (code, why string) {
	if code, why = f.mayFound(); code != "" {
		return code, why
	}
	self := f.cfg.Self.Incarnation
	switch {
	case r.To != self:
		return codeWrongDisk, fmt.Sprintf("the node at this address has another data directory now (incarnation %s)", self)
	case r.Ballot.IsZero() || r.Ballot != f.d.Promised:
		return codeBallotLow, fmt.Sprintf("promised attempt %d, not this one", f.d.Promised.Counter)
	}
	g, err := wire.DecodeGenesis(r.Genesis)
	switch {
	case err != nil:
		return codeMalformed, err.Error()
	case g.Cluster != f.cfg.Cluster:
		return codeName, fmt.Sprintf("this node belongs to a cluster named %q", f.cfg.Cluster)
	case g.Protocol != wire.Protocol, !g.Has(self):
		return codeMalformed, "the genesis is of another version, or this node is not among its founders"
	case f.abandoned(r.Genesis):
		return codeAbandoned, "an operator has given up that genesis at this node, and it never accepts it again; give it up at the asking node as well"
	}
	return "", ""
}

// commit answers Commit. Only the genesis that this node accepted counts.
func (f *Former) commit(r wire.Commit) wire.CommitReply {
	if f.d.Stage != wire.Accepted || f.unreadable() || !bytes.Equal(r.Genesis, f.d.Genesis) {
		return wire.CommitReply{Code: codeNotMine, Refused: "this node has not accepted that genesis"}
	}
	f.found(f.d.Genesis, nil)
	return wire.CommitReply{}
}
