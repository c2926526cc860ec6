// Package loopback finds TCP ports on 127.0.0.1 for servers that are about to
// start, and keeps them until they do.
//
// To listen on port 0 and close is not enough. What the kernel gives then is
// an ephemeral port, and before the server binds it, any connection that
// somebody opens may be given the same one as its source. So ports are taken
// from outside the ephemeral range, where only listeners are; and among all
// that ask this package, in whichever process, a port is reserved by its UDP
// port of the same number, which the kernel gives to one socket alone and
// takes back when the process ends.
//
// It is for the demo, tests and benchmarks. A server that people run has its
// address from them, and nothing here decides about it.
package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// Ports are TCP ports on 127.0.0.1 that nobody listened on when they were
// reserved. The zero value has none. One caller at a time.
type Ports struct {
	held []net.PacketConn // UDP sockets on the same numbers
}

// Reserve takes this very address, 127.0.0.1:port. It fails where somebody
// listens on it or has reserved it.
func (p *Ports) Reserve(addr string) error {
	lock, err := net.ListenPacket("udp4", addr)
	if err != nil {
		return fmt.Errorf("reserve %s: %w", addr, err)
	}
	l, err := net.Listen("tcp4", addr)
	if err != nil {
		_ = lock.Close() // it never carried a packet
		return fmt.Errorf("reserve %s: %w", addr, err)
	}
	_ = l.Close() // it never accepted a connection
	p.held = append(p.held, lock)
	return nil
}

// ReserveAny takes n ports that are free, outside the ephemeral range as long
// as there are such, and returns their addresses.
func (p *Ports) ReserveAny(n int) ([]string, error) {
	var addrs []string
	var last error
	for _, port := range candidates(ephemeral()) {
		if len(addrs) == n {
			return addrs, nil
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if last = p.Reserve(addr); last == nil {
			addrs = append(addrs, addr)
		}
	}
	return nil, fmt.Errorf("find %d free ports on 127.0.0.1: there are %d; %w", n, len(addrs), last)
}

// Release gives the ports back. Who listens on them goes on to.
func (p *Ports) Release() {
	for _, lock := range p.held {
		_ = lock.Close() // it never carried a packet
	}
	p.held = nil
}

// portRange is inclusive.
type portRange struct{ low, high int }

// ephemeral are the ports that the kernel gives to outgoing connections: what
// Linux says, elsewhere what IANA does and Linux by default, together.
func ephemeral() portRange {
	r := portRange{32768, 65535}
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		var said portRange
		if _, err := fmt.Sscan(string(b), &said.low, &said.high); err == nil {
			r = said
		}
	}
	return r
}

// lowest is above most ports that services are known by.
const lowest = 10000

// candidates are the ports to try, in order: those outside the ephemeral
// range first. Each caller begins elsewhere, for many may look at once.
func candidates(taken portRange) []int {
	var outside, inside []int
	for port := lowest; port <= 65535; port++ {
		if port < taken.low || port > taken.high {
			outside = append(outside, port)
		} else {
			inside = append(inside, port)
		}
	}
	return append(rotate(outside), rotate(inside)...)
}

func rotate(ports []int) []int {
	if len(ports) == 0 {
		return nil
	}
	i := rand.IntN(len(ports))
	return append(ports[i:len(ports):len(ports)], ports[:i]...)
}
