package dns_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/musterhq/muster/discovery/discoverytest"
	"github.com/musterhq/muster/discovery/dns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a resolver that answers at once.
type fake struct {
	ips    []netip.Addr
	srv    []*net.SRV
	broken atomic.Bool
	asked  []string
}

func (f *fake) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	f.asked = append(f.asked, network+" "+host)
	if f.broken.Load() {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return f.ips, ctx.Err()
}

func (f *fake) LookupSRV(ctx context.Context, service, proto, name string) (string, []*net.SRV, error) {
	f.asked = append(f.asked, service+" "+proto+" "+name)
	if f.broken.Load() {
		return "", nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	}
	return name, f.srv, ctx.Err()
}

var (
	someIPs = []netip.Addr{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("::ffff:10.0.0.2"), netip.MustParseAddr("fd00::1")}
	someSRV = []*net.SRV{{Target: "n2.x.", Port: 2381}, {Target: "n1.x.", Port: 2380}, {Target: "n1.x.", Port: 2380, Priority: 5}, {Target: ".", Port: 9}}
)

func TestContractOfNames(t *testing.T) {
	discoverytest.TestInBubble(t, func(*testing.T) discoverytest.Subject {
		f := &fake{ips: someIPs}
		return discoverytest.Subject{
			Provider: &dns.Provider{Name: "x", Resolver: f},
			Want:     []string{"10.0.0.1:2380", "10.0.0.2:2380", "[fd00::1]:2380"},
			Break:    func() { f.broken.Store(true) },
			Mend:     func() { f.broken.Store(false) },
		}
	})
}

func TestContractOfServices(t *testing.T) {
	discoverytest.TestInBubble(t, func(*testing.T) discoverytest.Subject {
		f := &fake{srv: someSRV}
		return discoverytest.Subject{
			Provider: &dns.Provider{Name: "x", SRV: true, Resolver: f},
			Want:     []string{"n1.x:2380", "n2.x:2381"},
			Break:    func() { f.broken.Store(true) },
			Mend:     func() { f.broken.Store(false) },
		}
	})
}

// TestContractOverTheNetwork asks a real server with real packets.
func TestContractOverTheNetwork(t *testing.T) {
	for _, srv := range []bool{false, true} {
		t.Run(fmt.Sprint("srv ", srv), func(t *testing.T) {
			discoverytest.Test(t, func(t *testing.T) discoverytest.Subject {
				s := newNameserver(t)
				s.set(func() {
					s.hosts["muster.test."] = []net.IP{net.ParseIP("10.0.0.1"), net.ParseIP("fd00::1")}
					s.srv["_muster-peer._tcp.muster.test."] = []net.SRV{{Target: "n1.test.", Port: 2381}}
				})
				want := []string{"10.0.0.1:7", "[fd00::1]:7"}
				if srv {
					want = []string{"n1.test:2381"}
				}
				return discoverytest.Subject{
					Provider: &dns.Provider{
						Name: "muster.test.", SRV: srv, Port: 7, Resolver: s.resolver(),
						Pace: dns.Pace{Min: 5 * time.Millisecond, Max: 20 * time.Millisecond},
					},
					Want:  want,
					Break: func() { s.set(func() { s.broken = true }) },
					Mend:  func() { s.set(func() { s.broken = false }) },
				}
			})
		})
	}
}

// once is the first report that has addresses or an error.
func once(t *testing.T, p *dns.Provider) (addrs []string, err error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p.Find(ctx, "a:1", func(a []string, e error) {
		if addrs == nil && err == nil {
			addrs, err = a, e
		}
		cancel()
	})
	return addrs, err
}

func TestWhatIsAskedFor(t *testing.T) {
	f := &fake{ips: someIPs[:1], srv: someSRV[:1]}
	for _, c := range []struct {
		p           dns.Provider
		asked, name string
		want        []string
	}{
		{dns.Provider{Name: "x.svc"}, "ip x.svc", "dns x.svc:2380", []string{"10.0.0.2:2380"}},
		{dns.Provider{Name: "x.svc", Port: 99}, "ip x.svc", "dns x.svc:99", []string{"10.0.0.2:99"}},
		{dns.Provider{Name: "x.svc", SRV: true}, "  _muster-peer._tcp.x.svc", "srv _muster-peer._tcp.x.svc", []string{"n2.x:2381"}},
		{dns.Provider{Name: "_raft._tcp.x", SRV: true}, "  _raft._tcp.x", "srv _raft._tcp.x", []string{"n2.x:2381"}},
	} {
		f.asked = nil
		c.p.Resolver = f
		got, err := once(t, &c.p)
		if err != nil || !slices.Equal(got, c.want) || f.asked[0] != c.asked || c.p.String() != c.name {
			t.Errorf("%s asked for %q and found %v, %v; want %q, %v", &c.p, f.asked, got, err, c.asked, c.want)
		}
	}
}

// TestNotFound: the error has the way out that people in Kubernetes need.
func TestNotFound(t *testing.T) {
	s := newNameserver(t)
	_, err := once(t, &dns.Provider{Name: "nobody.test.", Resolver: s.resolver()})
	if err == nil || !strings.Contains(err.Error(), "nobody.test") || !strings.Contains(err.Error(), "publishNotReadyAddresses") {
		t.Errorf("got %v", err)
	}
	var dnsErr *net.DNSError
	if !errors.As(err, &dnsErr) {
		t.Errorf("%v hides its cause", err)
	}
}

// TestPartAndChange: a shorter answer and a longer one are reported as they are.
func TestPartAndChange(t *testing.T) {
	s := newNameserver(t)
	s.set(func() { s.hosts["x.test."] = []net.IP{net.ParseIP("10.0.0.1"), net.ParseIP("10.0.0.2")} })
	ctx, cancel := context.WithTimeout(t.Context(), discoverytest.Patience)
	defer cancel()
	steps := []struct{ want, then []string }{
		{[]string{"10.0.0.1:2380", "10.0.0.2:2380"}, []string{"10.0.0.2"}},
		{[]string{"10.0.0.2:2380"}, []string{"10.0.0.2", "10.0.0.3"}},
		{[]string{"10.0.0.2:2380", "10.0.0.3:2380"}, nil},
	}
	p := &dns.Provider{Name: "x.test.", Resolver: s.resolver(), Pace: dns.Pace{Min: time.Millisecond, Max: time.Millisecond}}
	p.Find(ctx, "10.0.0.2:2380", func(addrs []string, err error) {
		if err != nil || len(steps) == 0 || !slices.Equal(addrs, steps[0].want) {
			return // not yet: the change may come between two looks
		}
		s.set(func() {
			s.hosts["x.test."] = nil
			for _, ip := range steps[0].then {
				s.hosts["x.test."] = append(s.hosts["x.test."], net.ParseIP(ip))
			}
		})
		if steps = steps[1:]; len(steps) == 0 {
			cancel()
		}
	})
	if len(steps) > 0 {
		t.Errorf("never reported %v", steps[0].want)
	}
}

func Example() {
	// The pods of a headless service, as soon as each is there.
	p := &dns.Provider{Name: "muster.default.svc", Port: 2380}
	fmt.Println(p)
	// Those that the SRV records of _muster-peer._tcp.muster.default.svc list.
	fmt.Println(&dns.Provider{Name: "muster.default.svc", SRV: true})
	// Output:
	// dns muster.default.svc:2380
	// srv _muster-peer._tcp.muster.default.svc
}
