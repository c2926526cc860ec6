// Package multicast provides the addresses of nodes on the same local network,
// and announces this one to them: multicast DNS (RFC 6762) with service
// discovery (RFC 6763), which needs no server and no address beforehand.
//
// A node is an instance of the service _muster._tcp.local. Its TXT record has
// the name of the cluster that it belongs to or is to belong to, and its peer
// address; those of other clusters are passed over. Several nodes may run on
// one machine.
//
// It is for a laptop, a lab, a rack. Multicast doesn't get beyond the local
// network, and many clouds carry none at all. And it keeps nobody out: whoever
// is on the network can announce any address.
package multicast

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"time"

	"github.com/pion/mdns/v2"

	"github.com/musterhq/muster/discovery"
	"github.com/musterhq/muster/discovery/internal/look"
)

// Service is what nodes announce themselves as, in the domain local.
const Service = "_muster._tcp"

// Keys of the TXT record.
const (
	keyCluster = "cluster" // the cluster's name
	keyPeer    = "peer"    // host:port
)

// maxCluster is how long a cluster's name may be, in bytes: a TXT record holds
// strings of 255.
const maxCluster = 255 - len(keyCluster+"=")

// Provider announces this node and looks for others.
type Provider struct {
	// Cluster is the name of the cluster, at most 247 bytes. Required.
	Cluster string
	// Interfaces are the names of the network interfaces to use. By default
	// all that are up and can multicast, and that of loopback, over which
	// those on the same machine find each other.
	Interfaces []string

	// Pace of the looks. Default 1 s to 30 s.
	Pace Pace
	// Listen is how long answers are waited for. Default 1 s.
	Listen time.Duration
}

// Pace is how long to pause between two looks: Min, and twice as long, up to
// Max, after each that brought nothing new.
type Pace struct{ Min, Max time.Duration }

var _ discovery.Provider = (*Provider)(nil)

// Find announces self and looks for others until ctx ends. What it reports is
// without self. A self on loopback is announced on loopback alone: elsewhere
// it would lead to another machine's.
func (p *Provider) Find(ctx context.Context, self string, report func([]string, error)) {
	s := &session{cluster: p.Cluster, self: self, wanted: p.Interfaces, listen: p.Listen, instance: rand.Text()}
	if s.listen <= 0 {
		s.listen = time.Second
	}
	defer s.close()
	pace := look.Pace(p.Pace).Or(look.Pace{Min: time.Second, Max: 30 * time.Second})
	pace.Again(ctx, report, func(ctx context.Context) ([]string, error) {
		if err := p.check(self); err != nil {
			return nil, err
		}
		return s.look(ctx)
	})
}

// String is "multicast", the service and the cluster's name.
func (p *Provider) String() string {
	return fmt.Sprintf("multicast %s, cluster %q", Service, p.Cluster)
}

func (p *Provider) check(self string) error {
	if p.Cluster == "" || len(p.Cluster) > maxCluster {
		return fmt.Errorf("multicast: the name of the cluster has %d bytes; it is announced, and may have 1 to %d", len(p.Cluster), maxCluster)
	}
	if err := look.CheckAddr(self); err != nil {
		return fmt.Errorf("multicast: this node's address can't be announced: %w", err)
	}
	return nil
}

// service is what a node announces.
func (s *session) service() (mdns.ServiceInstance, net.IP, error) {
	host, portText, err := net.SplitHostPort(s.self)
	if err != nil {
		return mdns.ServiceInstance{}, nil, err
	}
	port, err := look.Port(portText)
	if err != nil {
		return mdns.ServiceInstance{}, nil, err
	}
	return mdns.ServiceInstance{
		Instance: s.instance, Service: Service, Port: port,
		Text: []mdns.TXTEntry{mdns.NewTXTString(keyCluster, s.cluster), mdns.NewTXTString(keyPeer, s.self)},
	}, net.ParseIP(host), nil
}
