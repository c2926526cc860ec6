package multicast

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/pion/logging"
	"github.com/pion/mdns/v2"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// session is one run of Find: the announcement, which stays up between looks,
// and what the next look needs. It is used by one goroutine.
type session struct {
	cluster, self string
	wanted        []string // names of interfaces; none: all that are fit
	listen        time.Duration
	instance      string // this node's, drawn by chance: its own is not found

	conn *mdns.Conn // nil: not announced
	on   links      // what conn was made for
	deaf int        // looks in a row that didn't hear the own announcement
}

// look makes sure of the announcement, and asks for those of others.
func (s *session) look(ctx context.Context) ([]string, error) {
	if err := s.announce(); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var found []string
	heardSelf := false
	s.conn.OnServiceDiscovered(func(e mdns.ServiceEvent) {
		mu.Lock()
		defer mu.Unlock()
		if e.Instance.Service != Service || text(e.Instance, keyCluster) != s.cluster {
			return
		}
		if e.Instance.Instance == s.instance {
			heardSelf = true
			return
		}
		found = append(found, text(e.Instance, keyPeer))
	})
	ctx, cancel := context.WithTimeout(ctx, s.listen)
	defer cancel()
	// A browse of its own for each look: what it has found is forgotten with it.
	if err := s.conn.Browse(ctx, Service); err != nil {
		s.close()
		return nil, fmt.Errorf("multicast: %w; it is tried again", err)
	}
	<-ctx.Done()
	mu.Lock()
	defer mu.Unlock()
	if heardSelf {
		s.deaf = 0
	} else if s.deaf++; s.deaf >= maxDeaf {
		err := s.explainDeaf()
		s.close() // the sockets may be at fault
		return found, err
	}
	return found, nil
}

// text is a value of the TXT record.
func text(i mdns.ServiceInstance, key string) string {
	for _, t := range i.Text {
		if t.Key == key {
			return string(t.Value)
		}
	}
	return ""
}

// maxDeaf is how many looks in a row may miss the own announcement: what is
// sent may be lost.
const maxDeaf = 2

// explainDeaf tells that not even the own announcement was heard, though what is
// sent to a group comes back to the members of it on the same machine.
func (s *session) explainDeaf() error {
	return fmt.Errorf("multicast: this node did not hear its own announcement on %v in %v: nothing gets through there; let UDP port 5353 and the groups 224.0.0.251 and ff02::fb pass the firewall, or find peers another way", s.on, s.listen)
}

// announce makes conn anew when the interfaces have changed, as they do when a
// cable is plugged in or a laptop wakes.
func (s *session) announce() error {
	now, err := fitLinks(s.wanted)
	if err != nil {
		s.close()
		return err
	}
	if s.conn != nil && s.on.equal(now) {
		return nil
	}
	s.close()
	svc, ip, err := s.service()
	if err != nil {
		return err
	}
	if ip.IsLoopback() && !now.loopback() {
		return fmt.Errorf("multicast: %s is this machine's alone, and can't be announced on %v; advertise an address that others reach (--peer-advertise)", s.self, now)
	}
	c4, c6, err := listen()
	if err != nil {
		return fmt.Errorf("multicast: listen on UDP port 5353: %w; another program may hold it for itself alone. It is tried again", err)
	}
	options := []mdns.ServerOption{
		mdns.WithLocalNames(s.instance + ".local"), mdns.WithService(svc),
		mdns.WithIncludeLoopback(true), mdns.WithInterfaces(now.interfaces()...),
		mdns.WithQueryInterval(max(s.listen/3, time.Millisecond)), // an answer may be lost
		mdns.WithLoggerFactory(&logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}),
	}
	if ip != nil {
		options = append(options, mdns.WithLocalAddress(ip))
	}
	conn, err := mdns.NewServer(c4, c6, options...)
	if err != nil {
		closeBoth(c4, c6)
		return fmt.Errorf("multicast on %v: %w; it is tried again", now, err)
	}
	s.conn, s.on = conn, now
	return nil
}

// close takes the announcement back. On return no goroutine of it runs.
func (s *session) close() {
	if s.conn != nil {
		_ = s.conn.Close() // it only carried what may be lost
	}
	s.conn, s.on = nil, nil
}

// listen opens port 5353, which several programs may share. One of the two is
// nil on a machine that has only the other version of IP.
func listen() (*ipv4.PacketConn, *ipv6.PacketConn, error) {
	var c4 *ipv4.PacketConn
	var c6 *ipv6.PacketConn
	l4, err4 := listenUDP("udp4", mdns.DefaultAddressIPv4)
	if err4 == nil {
		c4 = ipv4.NewPacketConn(l4)
	}
	l6, err6 := listenUDP("udp6", mdns.DefaultAddressIPv6)
	if err6 == nil {
		c6 = ipv6.NewPacketConn(l6)
	}
	if c4 == nil && c6 == nil {
		return nil, nil, errors.Join(err4, err6)
	}
	return c4, c6, nil
}

// listenUDP shares the port since addr is a group's: see [net.ListenUDP].
func listenUDP(network, addr string) (*net.UDPConn, error) {
	a, err := net.ResolveUDPAddr(network, addr)
	if err != nil {
		return nil, err
	}
	return net.ListenUDP(network, a)
}

func closeBoth(c4 *ipv4.PacketConn, c6 *ipv6.PacketConn) {
	if c4 != nil {
		_ = c4.Close() // nothing was sent
	}
	if c6 != nil {
		_ = c6.Close() // nothing was sent
	}
}
