package dns_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// nameserver is a small DNS server on loopback.
type nameserver struct {
	conn net.PacketConn

	mu     sync.Mutex
	hosts  map[string][]net.IP // by names that end in a dot
	srv    map[string][]net.SRV
	broken bool // answers SERVFAIL
}

func newNameserver(t *testing.T) *nameserver {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameserver{conn: conn, hosts: map[string][]net.IP{}, srv: map[string][]net.SRV{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve()
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return s
}

// resolver asks this server alone.
func (s *nameserver) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", s.conn.LocalAddr().String())
	}}
}

func (s *nameserver) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *nameserver) serve() {
	buf := make([]byte, 4096)
	for {
		n, from, err := s.conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		if reply := s.answer(buf[:n]); reply != nil {
			s.conn.WriteTo(reply, from)
		}
	}
}

// answer is nil for what is not to be answered.
func (s *nameserver) answer(query []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var q dnsmessage.Message
	if q.Unpack(query) != nil || len(q.Questions) != 1 {
		return nil
	}
	r := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: q.ID, Response: true, RecursionAvailable: true, RecursionDesired: true},
		Questions: q.Questions,
	}
	name := strings.ToLower(q.Questions[0].Name.String())
	ips, hasHosts := s.hosts[name]
	records, hasSRV := s.srv[name]
	switch {
	case s.broken:
		r.RCode = dnsmessage.RCodeServerFailure
	case !hasHosts && !hasSRV:
		r.RCode = dnsmessage.RCodeNameError
	}
	add := func(kind dnsmessage.Type, body dnsmessage.ResourceBody) {
		if kind != q.Questions[0].Type || r.RCode != dnsmessage.RCodeSuccess {
			return
		}
		r.Answers = append(r.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Questions[0].Name, Type: kind, Class: dnsmessage.ClassINET, TTL: 5}, Body: body,
		})
	}
	for _, ip := range ips {
		if v4 := ip.To4(); v4 != nil {
			add(dnsmessage.TypeA, &dnsmessage.AResource{A: [4]byte(v4)})
		} else {
			add(dnsmessage.TypeAAAA, &dnsmessage.AAAAResource{AAAA: [16]byte(ip)})
		}
	}
	for _, rec := range records {
		add(dnsmessage.TypeSRV, &dnsmessage.SRVResource{Port: rec.Port, Target: dnsmessage.MustNewName(rec.Target)})
	}
	b, err := r.Pack()
	if err != nil {
		return nil
	}
	return b
}
