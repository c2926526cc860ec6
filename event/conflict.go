package event

import (
	"fmt"

	"github.com/musterhq/muster/cluster"
)

// TwoClusters: this member met one of another cluster that has the same name.
type TwoClusters struct {
	Name    string            `json:"name"`
	Cluster cluster.ClusterID `json:"cluster"` // this member's
	Other   cluster.ClusterID `json:"other"`
	Peer    cluster.NodeID    `json:"peer"`
	Addr    string            `json:"addr"`
}

// Kind implements [Event].
func (TwoClusters) Kind() string { return "conflict_two_clusters" }

// Text implements [Event].
func (e TwoClusters) Text() string {
	return fmt.Sprintf("two clusters are named %q: %s at %s is in %s, this node in %s", e.Name, e.Peer, e.Addr, e.Other, e.Cluster)
}
