package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// Memory is a network for tests, within one process: hosts by name, addresses
// "host:port", connections like TCP's with a window of 256 KiB. It can lose
// what is sent (Partition, Block), break connections (Cut) and whole hosts
// (Down). It works inside testing/synctest bubbles: whoever waits, waits on a
// channel.
//
// All methods may be called at any time from any goroutine.
type Memory struct {
	mu        sync.Mutex
	listeners map[string]*memListener // by address
	links     map[*link]struct{}      // open connections
	groups    map[string]int          // host → its side of the partition; nil: none
	blocked   map[[2]string]bool      // from, to
	down      map[string]bool
	nextPort  int
	changed   chan struct{} // closed, and replaced, when who reaches whom has changed
}

// NewMemory makes a network without hosts.
func NewMemory() *Memory {
	return &Memory{
		listeners: map[string]*memListener{},
		links:     map[*link]struct{}{},
		blocked:   map[[2]string]bool{},
		down:      map[string]bool{},
		nextPort:  40000,
		changed:   make(chan struct{}),
	}
}

// Node gives the network as the host of that name sees it.
func (m *Memory) Node(host string) Network { return memNode{m, host} }

// Partition splits the hosts into groups that don't reach each other; hosts
// that are not listed form one more group. Bytes between groups vanish, as in
// a network: connections hang, dials too until their context ends. It replaces
// an earlier partition.
func (m *Memory) Partition(groups ...[]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.groups = map[string]int{}
	for i, g := range groups {
		for _, host := range g {
			m.groups[host] = i + 1
		}
	}
	m.reshapeLocked()
}

// Block makes bytes of one direction vanish.
func (m *Memory) Block(from, to string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blocked[[2]string{from, to}] = true
	m.reshapeLocked()
}

// Heal ends every Partition and Block. Connections on which bytes were lost
// are reset, the others live on.
func (m *Memory) Heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.groups = nil
	clear(m.blocked)
	m.reshapeLocked()
}

// Cut resets the connections between two hosts; new ones can be made.
func (m *Memory) Cut(a, b string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for l := range m.links {
		if (l.from == a && l.to == b) || (l.from == b && l.to == a) {
			l.resetLocked()
		}
	}
}

// Down makes a host unreachable as one that crashed: its connections are
// reset, dials to it and from it refused.
func (m *Memory) Down(host string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down[host] = true
	for l := range m.links {
		if l.from == host || l.to == host {
			l.resetLocked()
		}
	}
	m.reshapeLocked()
}

// Up ends Down. Listeners of the host that were not closed take connections again.
func (m *Memory) Up(host string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.down, host)
	m.reshapeLocked()
}

// reshapeLocked resets connections with a hole that would now show, and lets
// waiting dials look again.
func (m *Memory) reshapeLocked() {
	for l := range m.links {
		if l.lossy() && m.reachesLocked(l.from, l.to) && m.reachesLocked(l.to, l.from) {
			l.resetLocked()
		}
	}
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *Memory) reachesLocked(from, to string) bool {
	return from == to || (m.groups[from] == m.groups[to] && !m.blocked[[2]string{from, to}])
}

// memAddr is "host:port".
type memAddr string

func (memAddr) Network() string  { return "memory" }
func (a memAddr) String() string { return string(a) }

type memNode struct {
	m    *Memory
	host string
}

// Listen takes "host:port" with the node's own host or none; port 0 picks one.
func (n memNode) Listen(addr string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", addr, err)
	}
	if host != "" && host != n.host {
		return nil, fmt.Errorf("listen on %q: not an address of host %q: %w", addr, n.host, syscall.EADDRNOTAVAIL)
	}
	m := n.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if port == "0" {
		port = m.portLocked()
	}
	addr = net.JoinHostPort(n.host, port)
	if m.listeners[addr] != nil {
		return nil, fmt.Errorf("listen on %q: %w", addr, syscall.EADDRINUSE)
	}
	l := &memListener{m: m, addr: memAddr(addr), queue: make(chan net.Conn, 128), closed: make(chan struct{})}
	m.listeners[addr] = l
	return l, nil
}

func (m *Memory) portLocked() string {
	m.nextPort++
	return strconv.Itoa(m.nextPort)
}

// Dial connects, waiting while the hosts don't reach each other.
func (n memNode) Dial(ctx context.Context, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("dial %q: %w", addr, err)
	}
	for {
		c, wait, err := n.try(host, addr)
		if err != nil {
			return nil, &net.OpError{Op: "dial", Net: "memory", Addr: memAddr(addr), Err: err}
		}
		if c != nil {
			return c, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, &net.OpError{Op: "dial", Net: "memory", Addr: memAddr(addr), Err: ctx.Err()}
		}
	}
}

// try gives a connection, or what to wait for, or an error.
func (n memNode) try(host, addr string) (net.Conn, <-chan struct{}, error) {
	m := n.m
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.down[n.host]:
		return nil, nil, syscall.ENETDOWN
	case !m.reachesLocked(n.host, host) || !m.reachesLocked(host, n.host):
		return nil, m.changed, nil
	case m.down[host]:
		return nil, nil, syscall.ECONNREFUSED
	}
	l := m.listeners[addr]
	if l == nil {
		return nil, nil, syscall.ECONNREFUSED
	}
	near, far := m.linkLocked(n.host, host, memAddr(net.JoinHostPort(n.host, m.portLocked())), memAddr(addr))
	select {
	case l.queue <- far:
		return near, nil, nil
	default:
		near.link.resetLocked()
		return nil, nil, errors.New("too many connections wait to be accepted")
	}
}

type memListener struct {
	m      *Memory
	addr   memAddr
	queue  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *memListener) Addr() net.Addr { return l.addr }

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-l.queue:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close frees the address and resets connections that nobody accepted.
func (l *memListener) Close() error {
	l.once.Do(func() {
		l.m.mu.Lock()
		delete(l.m.listeners, string(l.addr))
		l.m.mu.Unlock()
		close(l.closed)
		for {
			select {
			case c := <-l.queue:
				c.Close()
			default:
				return
			}
		}
	})
	return nil
}
