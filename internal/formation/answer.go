package formation

import (
	"bytes"
	"fmt"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// Answer is what a node that is or was a member answers to Probe, Prepare,
// Accept and Commit; other questions get a Nack. It changes nothing. m is the
// membership as this node has applied it; the zero value will do.
func Answer(d Durable, m cluster.Membership, r wire.Request) wire.Response {
	code, why := codeNotBlank, fmt.Sprintf("this node is a member of cluster %s", d.ClusterID)
	if d.Stage == wire.Removed {
		code, why = "removed", fmt.Sprintf("this node was removed from cluster %s", d.ClusterID)
	}
	switch {
	case r.Probe != nil:
		var known []string
		for _, mem := range m.Members {
			known = append(known, mem.PeerAddr)
		}
		p := wire.ProbeReply{Known: sortedSet(known)}
		if d.Founded {
			p.Genesis = d.Genesis
		}
		return wire.Response{Probe: &p}
	case r.Prepare != nil:
		return wire.Response{Promise: &wire.Promise{Ballot: d.Promised, Code: code, Refused: why}}
	case r.Accept != nil:
		return wire.Response{Accept: &wire.AcceptReply{Ballot: d.Promised, Code: code, Refused: why}}
	case r.Commit != nil:
		if d.Stage == wire.InCluster && d.Founded && bytes.Equal(d.Genesis, r.Commit.Genesis) {
			return wire.Response{Commit: &wire.CommitReply{}}
		}
		return wire.Response{Commit: &wire.CommitReply{Code: code, Refused: why}}
	}
	return wire.Response{Nack: &wire.Nack{Code: "not_formation", Reason: "not a question about forming a cluster"}}
}
