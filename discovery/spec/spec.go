// Package spec makes a provider of addresses from a word on a command line,
// such as dns:muster.default.svc.
//
// It knows the providers of this module and no others, and it looks nowhere:
// whether a name or a file exists is for the provider to find out, again and
// again.
package spec

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/musterhq/muster/discovery"
	"github.com/musterhq/muster/discovery/dns"
	"github.com/musterhq/muster/discovery/file"
	"github.com/musterhq/muster/discovery/internal/look"
	"github.com/musterhq/muster/discovery/multicast"
)

// Forms lists what Parse understands, for help texts, one a line.
const Forms = `dns:NAME[:PORT]  the addresses of a name (A, AAAA), all with one port, by default 2380
srv:NAME         what the SRV records of _muster-peer._tcp.NAME list, or those of NAME if it begins with _
file:PATH        a file with one host:port a line, read again when it changes
multicast        nodes of this cluster on the local network, by multicast DNS`

// Parse makes a provider. cluster is the name of the cluster, which those that
// announce this node go by. The error names the spec and lists the forms.
func Parse(spec, cluster string) (discovery.Provider, error) {
	p, err := parse(spec, cluster)
	if err != nil {
		return nil, fmt.Errorf("discovery %q: %w; the forms are\n  %s", spec, err, strings.ReplaceAll(Forms, "\n", "\n  "))
	}
	return p, nil
}

func parse(spec, cluster string) (discovery.Provider, error) {
	kind, rest, colon := strings.Cut(spec, ":")
	if kind == "multicast" {
		if colon {
			return nil, errors.New("multicast stands alone")
		}
		if cluster == "" {
			return nil, errors.New("multicast needs the name of the cluster")
		}
		return &multicast.Provider{Cluster: cluster}, nil
	}
	var make func(string) (discovery.Provider, error)
	switch kind {
	case "dns":
		make = parseDNS
	case "srv":
		make = parseSRV
	case "file":
		make = func(path string) (discovery.Provider, error) { return &file.Provider{Path: path}, nil }
	default:
		return nil, fmt.Errorf("there is no %q", kind)
	}
	if rest == "" {
		return nil, fmt.Errorf("nothing follows %s:", kind)
	}
	return make(rest)
}

func parseDNS(rest string) (discovery.Provider, error) {
	name, portText, found := strings.Cut(rest, ":")
	p := &dns.Provider{Name: name}
	if found {
		port, err := look.Port(portText)
		if err != nil {
			return nil, err
		}
		p.Port = port
	}
	return p, checkName(name)
}

func parseSRV(rest string) (discovery.Provider, error) {
	return &dns.Provider{Name: rest, SRV: true}, checkName(rest)
}

// checkName finds what is certainly no name. Whether it exists DNS will tell.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("there is no name")
	case strings.ContainsAny(name, " \t\r\n/,:@[]"):
		return fmt.Errorf("%q is no domain name", name)
	case net.ParseIP(name) != nil:
		return fmt.Errorf("%q is an address, not a name that has addresses; an address that is known is a seed", name)
	}
	return nil
}
