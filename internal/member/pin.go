package member

import (
	"fmt"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// PinStore keeps one document outside the data directory.
type PinStore interface {
	LoadPin(v any) (bool, error) // false: there is none
	SavePin(v any) error         // durable on return
	Path() string
}

// Pin says in which cluster a node is. See package formation for what it is for.
type Pin struct {
	Cluster   string            `json:"cluster"` // its name
	ClusterID cluster.ClusterID `json:"cluster_id"`
}

func (m *Member) pinPath() string {
	if m.disk.Pin == nil {
		return ""
	}
	return m.disk.Pin.Path()
}

// loadPin reads the pin, and gives one to a member that has none yet.
func (m *Member) loadPin() error {
	if m.disk.Pin == nil {
		return nil
	}
	found, err := m.disk.Pin.LoadPin(&m.pin)
	path, inCluster := m.disk.Pin.Path(), m.state.Stage == wire.InCluster
	switch {
	case err != nil:
		return err
	case found && m.pin.Cluster != m.cfg.Cluster:
		return fmt.Errorf("%w: %s is of a cluster named %q, and this node is to be in %q; give it the right --cluster, or another --pin-file", ErrPin, path, m.pin.Cluster, m.cfg.Cluster)
	case found && m.pin.ClusterID.IsZero():
		return fmt.Errorf("%w: %s names no cluster; restore it, or delete it if this node was in none that is left", ErrPin, path)
	case found && inCluster && m.pin.ClusterID != m.state.ClusterID:
		return fmt.Errorf("%w: %s says that this node is in cluster %s, its data directory that it is in %s; one of the two is another node's: give each node its own, or delete the pin if the directory is right",
			ErrPin, path, m.pin.ClusterID, m.state.ClusterID)
	case !found && inCluster:
		return m.savePin(m.state.ClusterID)
	}
	return nil
}

func (m *Member) savePin(id cluster.ClusterID) error {
	next := Pin{Cluster: m.cfg.Cluster, ClusterID: id}
	if m.disk.Pin == nil || m.pin == next {
		return nil
	}
	if err := m.disk.Pin.SavePin(next); err != nil {
		return err
	}
	m.pin = next
	return nil
}

// pinDown makes the pin durable before the state in which the node is a
// member; false ends it. What a founder accepted is on the disk by then, so that
// it finds out after a crash in between that it goes on by it; only one that
// founds alone has accepted nothing from anybody, and saves that first.
func (m *Member) pinDown(next State) bool {
	if m.disk.Pin == nil {
		return true
	}
	if next.Founded && m.state.Stage != wire.Accepted {
		own := next
		own.Stage, own.Founded, own.ClusterID = wire.Accepted, false, cluster.ClusterID{}
		own.Accepted = wire.Ballot{Counter: own.Promised.Counter + 1, Node: m.cfg.Self.Incarnation}
		own.Promised = own.Accepted
		if !m.save(own) {
			return false
		}
	}
	if err := m.savePin(next.ClusterID); err != nil {
		m.fail(err)
		return false
	}
	return true
}
