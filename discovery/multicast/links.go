package multicast

import (
	"fmt"
	"net"
	"slices"
	"strings"
)

// link is a network interface with its addresses.
type link struct {
	net.Interface
	addrs string // joined, to compare
}

// links are sorted by index.
type links []link

// fitLinks are the interfaces of those wanted (none: all) that can be used now.
func fitLinks(wanted []string) (links, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("multicast: %w", err)
	}
	var fit links
	var unfit []string
	for _, i := range all {
		if len(wanted) > 0 && !slices.Contains(wanted, i.Name) {
			continue
		}
		// That of loopback carries multicast on Linux, too, without the flag.
		can := i.Flags&net.FlagUp != 0 && i.Flags&(net.FlagMulticast|net.FlagLoopback) != 0
		addrs, err := i.Addrs()
		if err != nil || !can || len(addrs) == 0 {
			unfit = append(unfit, i.Name)
			continue
		}
		fit = append(fit, link{i, fmt.Sprint(addrs)})
	}
	if len(fit) == 0 {
		return nil, noLink(wanted, unfit)
	}
	slices.SortFunc(fit, func(a, b link) int { return a.Index - b.Index })
	return fit, nil
}

func noLink(wanted, unfit []string) error {
	switch {
	case len(unfit) > 0:
		return fmt.Errorf("multicast: none of the network interfaces %s is up with an address and can multicast; bring one up, or find peers another way (dns, srv, file)", strings.Join(unfit, ", "))
	case len(wanted) > 0:
		return fmt.Errorf("multicast: this machine has no network interface %s", strings.Join(wanted, ", "))
	default:
		return fmt.Errorf("multicast: this machine has no network interface; find peers another way (dns, srv, file)")
	}
}

func (l links) String() string {
	names := make([]string, len(l))
	for i := range l {
		names[i] = l[i].Name
	}
	return strings.Join(names, ", ")
}

func (l links) interfaces() []net.Interface {
	out := make([]net.Interface, len(l))
	for i := range l {
		out[i] = l[i].Interface
	}
	return out
}

func (l links) equal(m links) bool {
	return slices.EqualFunc(l, m, func(a, b link) bool {
		return a.Index == b.Index && a.Name == b.Name && a.Flags == b.Flags && a.MTU == b.MTU && a.addrs == b.addrs
	})
}

// loopback says whether one of them is that of loopback.
func (l links) loopback() bool {
	return slices.ContainsFunc(l, func(i link) bool { return i.Flags&net.FlagLoopback != 0 })
}
