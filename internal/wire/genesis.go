package wire

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/musterhq/muster/cluster"
)

// Genesis is the record that founds a cluster. Its encoding is made once, by
// the founder that proposes it, and from then on handled as opaque bytes: the
// cluster's ID is their hash.
type Genesis struct {
	Protocol int        `json:"protocol"`
	Cluster  string     `json:"cluster"`
	Founders []Identity `json:"founders"` // sorted by incarnation, no duplicates, at least one
	Seeds    []string   `json:"seeds,omitempty"`
	Nonce    []byte     `json:"nonce"` // 16 random bytes

	// Instead are the founders of each genesis that was accepted before, and
	// given up for this one; oldest first. Who accepts this one has forgotten them.
	Instead [][]Identity `json:"instead,omitempty"`
}

// Encode returns the bytes that are hashed, stored and sent.
func (g Genesis) Encode() []byte {
	b, err := json.Marshal(g)
	if err != nil {
		panic(fmt.Sprintf("wire: encode genesis: %v", err)) // plain data: cannot fail
	}
	return b
}

// DecodeGenesis reads and checks what [Genesis.Encode] wrote.
func DecodeGenesis(b []byte) (Genesis, error) {
	var g Genesis
	if err := json.Unmarshal(b, &g); err != nil {
		return Genesis{}, fmt.Errorf("decode genesis: %w", err)
	}
	if len(g.Founders) == 0 {
		return Genesis{}, fmt.Errorf("decode genesis: no founders")
	}
	for i, f := range g.Founders {
		if f.Incarnation.IsZero() || f.NodeID != f.Incarnation.NodeID() {
			return Genesis{}, fmt.Errorf("decode genesis: founder %d: node ID %s is not that of its incarnation", i, f.NodeID)
		}
		if i > 0 && g.Founders[i-1].Incarnation.Compare(f.Incarnation) >= 0 {
			return Genesis{}, fmt.Errorf("decode genesis: founders are not sorted or not distinct")
		}
	}
	return g, nil
}

// GenesisID is the ID of the cluster that these bytes found.
func GenesisID(b []byte) cluster.ClusterID {
	sum := sha256.Sum256(b)
	return cluster.ClusterID(sum[:16])
}

// Membership is who is in the cluster at index 1: the founders, all voters.
func (g Genesis) Membership(id cluster.ClusterID) cluster.Membership {
	m := cluster.Membership{Cluster: g.Cluster, ID: id}
	for _, f := range g.Founders {
		m.Put(f.Member(cluster.Voter))
	}
	return m
}

// Has says whether the incarnation is one of the founders.
func (g Genesis) Has(inc cluster.Incarnation) bool {
	return slices.ContainsFunc(g.Founders, func(f Identity) bool { return f.Incarnation == inc })
}

// Member is the identity as a member in the given role.
func (i Identity) Member(role cluster.Role) cluster.Member {
	return cluster.Member{
		ID: i.NodeID, Incarnation: i.Incarnation, Name: i.Name,
		PeerAddr: i.PeerAddr, ClientAddr: i.ClientAddr, ClientMore: i.ClientMore, Zone: i.Zone, Role: role,
	}
}
