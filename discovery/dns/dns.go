// Package dns provides addresses from the domain name system: those of a name,
// all with one port (A and AAAA records), or those that a name lists with
// their ports (SRV records).
//
// It is what finds the pods of a Kubernetes headless service, as long as
// publishNotReadyAddresses is on there: without it a pod has no record before
// it is ready, and none becomes ready before the others have found it.
//
// It asks again for ever, however long a record may be kept: an answer may be
// partial or old, and may name this very node. It does not ask the addresses
// anything, and resolved doesn't mean alive.
package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/musterhq/muster/discovery"
	"github.com/musterhq/muster/discovery/internal/look"
)

// DefaultPort is that of muster's peers.
const DefaultPort = 2380

// Service is what is put before a name that is asked for SRV records. The port
// of a Kubernetes service has such a record when it is called muster-peer.
const Service = "_muster-peer._tcp"

// Resolver asks. [net.Resolver] is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)
}

// Provider asks for one name.
type Provider struct {
	// Name to ask for. Required. With SRV, one that begins with _ is asked for
	// as it is, and another behind [Service].
	Name string
	// Port of all the addresses. Default [DefaultPort]. Not used with SRV.
	Port uint16
	// SRV asks for SRV records in place of A and AAAA records.
	SRV bool

	// Resolver to ask. By default the DNS servers and the hosts file that the
	// system is set up with are asked by Go's own resolver: a question to the
	// C library could not be taken back when Find has to end. Where names have
	// other sources, it can be [net.DefaultResolver].
	Resolver Resolver
	// Pace of the questions. Default 1 s to 30 s.
	Pace Pace
	// Timeout of one look. Default 10 s.
	Timeout time.Duration
}

// Pace is how long to pause between two looks: Min, and twice as long, up to
// Max, after each that brought nothing new.
type Pace struct{ Min, Max time.Duration }

var _ discovery.Provider = (*Provider)(nil)

// Find asks until ctx ends.
func (p *Provider) Find(ctx context.Context, _ string, report func([]string, error)) {
	r := p.Resolver
	if r == nil {
		r = resolverUntil(ctx)
	}
	pace := look.Pace(p.Pace).Or(look.Pace{Min: time.Second, Max: 30 * time.Second})
	pace.Again(ctx, report, func(ctx context.Context) ([]string, error) {
		timeout := p.Timeout
		if timeout <= 0 {
			timeout = 10 * time.Second
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		if p.SRV {
			return p.services(ctx, r)
		}
		return p.hosts(ctx, r)
	})
}

// String is "dns" and the name with its port, or "srv" and the name.
func (p *Provider) String() string {
	if p.SRV {
		return "srv " + p.service()
	}
	return "dns " + net.JoinHostPort(p.Name, strconv.Itoa(int(p.port())))
}

func (p *Provider) port() uint16 {
	if p.Port == 0 {
		return DefaultPort
	}
	return p.Port
}

func (p *Provider) service() string {
	if strings.HasPrefix(p.Name, "_") {
		return p.Name
	}
	return Service + "." + p.Name
}

func (p *Provider) hosts(ctx context.Context, r Resolver) ([]string, error) {
	ips, err := r.LookupNetIP(ctx, "ip", p.Name)
	addrs := make([]string, len(ips))
	for i, ip := range ips {
		addrs[i] = netip.AddrPortFrom(ip.Unmap(), p.port()).String()
	}
	return addrs, p.explain(err)
}

// services keeps the names that the records point at: they are asked for when
// they are dialled, and may stay the same when the addresses don't.
func (p *Provider) services(ctx context.Context, r Resolver) ([]string, error) {
	_, records, err := r.LookupSRV(ctx, "", "", p.service())
	var addrs []string
	for _, rec := range records {
		host := strings.TrimSuffix(rec.Target, ".")
		if host == "" {
			continue // RFC 2782: the service is decidedly not available there
		}
		addrs = append(addrs, net.JoinHostPort(host, strconv.Itoa(int(rec.Port))))
	}
	return addrs, p.explain(err)
}

func (p *Provider) explain(err error) error {
	var dnsErr *net.DNSError
	if !errors.As(err, &dnsErr) || !dnsErr.IsNotFound {
		return err
	}
	return fmt.Errorf("%w; it is asked for again. A headless service of Kubernetes has names only for ready pods unless publishNotReadyAddresses is on", err)
}
