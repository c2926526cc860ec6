package multicast_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/ipv4"

	"github.com/musterhq/muster/discovery/discoverytest"
	"github.com/musterhq/muster/discovery/multicast"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick is for tests: looks follow each other closely.
var quick = multicast.Pace{Min: 10 * time.Millisecond, Max: 50 * time.Millisecond}

// loopbackName is the interface of loopback, over which multicast works here.
// Without such a one the test is skipped, or fails where all has to be tested.
func loopbackName(t *testing.T) string {
	t.Helper()
	give := t.Skipf
	if os.Getenv("MUSTER_REQUIRE_ROOT_TESTS") != "" {
		give = t.Fatalf
	}
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 && i.Flags&net.FlagUp != 0 })
	if i < 0 {
		give("needs an interface of loopback that is up")
	}
	if err := hears(&all[i]); err != nil {
		give("needs multicast over %s, which doesn't work here: %v", all[i].Name, err)
	}
	return all[i].Name
}

// hears sends one packet to a group and waits for it.
func hears(on *net.Interface) error {
	group := &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353}
	c, err := net.ListenMulticastUDP("udp4", on, group)
	if err != nil {
		return err
	}
	defer c.Close()
	out, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := ipv4.NewPacketConn(out).SetMulticastInterface(on); err != nil {
		return err
	}
	word := []byte("muster test " + rand.Text())
	if _, err := out.WriteTo(word, group); err != nil {
		return err
	}
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	b := make([]byte, 9000)
	for {
		n, _, err := c.ReadFrom(b)
		if err != nil || string(b[:n]) == string(word) {
			return err
		}
	}
}

// neighbour announces another node until the test ends.
func neighbour(t *testing.T, cluster, self string, interfaces ...string) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := &multicast.Provider{Cluster: cluster, Interfaces: interfaces, Pace: quick}
		p.Find(ctx, self, func([]string, error) {})
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func TestContract(t *testing.T) {
	lo := loopbackName(t)
	discoverytest.Test(t, func(t *testing.T) discoverytest.Subject {
		cluster := rand.Text() // others may run this test on the same machine
		neighbour(t, cluster, "127.0.0.1:2381", lo)
		neighbour(t, cluster, "n3.example:2382", lo)
		return discoverytest.Subject{
			Provider: &multicast.Provider{Cluster: cluster, Interfaces: []string{lo}, Pace: quick, Listen: 300 * time.Millisecond},
			Self:     "127.0.0.1:2380",
			Want:     []string{"127.0.0.1:2381", "n3.example:2382"},
		}
	})
}

// TestEachOther: several on one machine find each other, not themselves, and
// none of another cluster.
func TestEachOther(t *testing.T) {
	lo := loopbackName(t)
	cluster, other := rand.Text(), rand.Text()
	neighbour(t, other, "127.0.0.1:9", lo)
	selfs := []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}
	ctx, cancel := context.WithTimeout(t.Context(), discoverytest.Patience)
	defer cancel()
	var wg, found sync.WaitGroup
	found.Add(len(selfs))
	for i, self := range selfs {
		want := slices.Delete(slices.Clone(selfs), i, i+1)
		wg.Go(func() {
			p := &multicast.Provider{Cluster: cluster, Interfaces: []string{lo}, Pace: quick}
			once := sync.OnceFunc(found.Done)
			defer once()
			p.Find(ctx, self, func(addrs []string, err error) {
				for _, a := range addrs {
					if !slices.Contains(want, a) {
						t.Errorf("%s found %s", self, a)
					}
				}
				if slices.Equal(addrs, want) {
					once()
				}
			})
		})
	}
	found.Wait()
	if ctx.Err() != nil {
		t.Error("they did not find each other")
	}
	cancel()
	wg.Wait()
}

// firstError is what a provider says that can't do its work.
func firstError(t *testing.T, p *multicast.Provider, self string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), discoverytest.Patience)
	defer cancel()
	text := ""
	p.Find(ctx, self, func(_ []string, err error) {
		if err != nil {
			text = err.Error()
			cancel()
		}
	})
	return text
}

// TestErrors: each names what is at fault, and a way out.
func TestErrors(t *testing.T) {
	lo := loopbackName(t)
	for name, c := range map[string]struct {
		p    multicast.Provider
		self string
		want []string
	}{
		"no cluster":     {multicast.Provider{}, "10.0.0.1:1", []string{"name of the cluster", "1 to 247"}},
		"a long cluster": {multicast.Provider{Cluster: strings.Repeat("x", 248)}, "10.0.0.1:1", []string{"248 bytes"}},
		"no address":     {multicast.Provider{Cluster: "x"}, "0.0.0.0:1", []string{"0.0.0.0:1", "announced"}},
		"no interface":   {multicast.Provider{Cluster: "x", Interfaces: []string{"nosuch0"}}, "10.0.0.1:1", []string{"nosuch0"}},
		// It has no time to hear itself, as behind a firewall.
		"deaf": {multicast.Provider{Cluster: "x", Listen: 1, Pace: quick, Interfaces: []string{lo}}, "127.0.0.1:1", []string{"own announcement", "5353", "firewall"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := firstError(t, &c.p, c.self)
			for _, w := range c.want {
				if !strings.Contains(text, w) {
					t.Errorf("%q doesn't say %q", text, w)
				}
			}
		})
	}
}

func Example() {
	p := &multicast.Provider{Cluster: "shop"}
	fmt.Println(p)
	// Output: multicast _muster._tcp, cluster "shop"
}
