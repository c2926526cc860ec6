package process

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func tryPut(c *clientv3.Client, key, value string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := c.Put(ctx, key, value)
	return err == nil
}

// cable is a stretch of it in front of a member's peer port.
type cable struct {
	l  net.Listener
	to string

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newCable(t *testing.T, to string) *cable {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{l: l, to: to, conns: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { c.carry(in) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // ends the accepting
		c.cut()
		wg.Wait()
	})
	return c
}

func (c *cable) carry(in net.Conn) {
	out, err := net.Dial("tcp", c.to)
	if err != nil {
		_ = in.Close() // the other side sees it
		return
	}
	c.mu.Lock()
	c.conns[in], c.conns[out] = true, true
	c.mu.Unlock()
	var wg sync.WaitGroup
	pipe := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, src) // ends when either end does
		_, _ = dst.Close(), src.Close()
	}
	wg.Go(func() { pipe(in, out) })
	wg.Go(func() { pipe(out, in) })
	wg.Wait()
	c.mu.Lock()
	delete(c.conns, in)
	delete(c.conns, out)
	c.mu.Unlock()
}

// cut breaks every connection that is up.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		_ = conn.Close() // that is the point
	}
}

// A snapshot stream that is cut again and again goes on where it stopped, and
// the joiner gets there.
func TestSnapshotStreamCutOrReportLost(t *testing.T) {
	t.Parallel()
	n1 := newMember(t, "n1", "--single")
	n1.start("--snapshot-send-rate", "4194304")
	ready(t, n1)
	c := dial(t, n1)
	for i := range 64 {
		put(t, c, fmt.Sprint("k", i), randomText(256<<10))
	}
	n2 := newMember(t, "n2", "--join-only", "--seeds", n1.peer)
	line := newCable(t, n2.peer)
	n2.args = append(n2.args, "--peer-advertise", line.l.Addr().String())
	n2.start()
	for range 4 {
		before := strings.Count(n2.Said(), "snapshot at index")
		eventually(t, "the snapshot makes progress", func() bool {
			return strings.Count(n2.Said(), "snapshot at index") > before
		})
		line.cut()
	}
	ready(t, n2)
	same(t, n1, n2)
	if got := get(t, dial(t, n2), "k63"); len(got) != 256<<10 {
		t.Fatalf("k63 has %d bytes", len(got))
	}
}

// randomText can't be compressed.
func randomText(n int) string {
	f, err := os.Open("/dev/urandom")
	if err != nil {
		panic(err)
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := io.ReadFull(f, b); err != nil {
		panic(err)
	}
	return string(b)
}

// lan is a bridge with one network namespace for each member. Its names and
// its network are its own: other tests, of other processes too, may run at the
// same time.
type lan struct {
	t   *testing.T
	id  string
	net string // the first three bytes of its addresses
	n   int
}

// lans counts those of this process.
var lans atomic.Int32

func newLAN(t *testing.T) *lan {
	needRoot(t, "ip")
	n := (os.Getpid()*4 + int(lans.Add(1))%4) % 20000
	l := &lan{t: t, id: fmt.Sprintf("mu%d", n), net: fmt.Sprintf("10.%d.%d", 50+n/100, n%100)}
	run(t, "ip", "link", "add", l.id, "type", "bridge")
	t.Cleanup(func() { run(t, "ip", "link", "del", l.id) })
	run(t, "ip", "addr", "add", l.addr(254)+"/24", "dev", l.id)
	run(t, "ip", "link", "set", l.id, "up")
	return l
}

// member makes a namespace and a member that will run in it.
func (l *lan) member(args ...string) *member {
	l.n++
	ns, addr, link := l.ns(l.n), l.addr(l.n), l.link(l.n)
	run(l.t, "ip", "netns", "add", ns)
	l.t.Cleanup(func() { run(l.t, "ip", "netns", "del", ns) })
	run(l.t, "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", ns)
	l.t.Cleanup(func() { run(l.t, "ip", "link", "del", link) }) // a namespace lives on as long as a socket in it
	run(l.t, "ip", "link", "set", link, "master", l.id, "up")
	run(l.t, "ip", "-n", ns, "addr", "add", addr+"/24", "dev", "eth0")
	run(l.t, "ip", "-n", ns, "link", "set", "eth0", "up")
	run(l.t, "ip", "-n", ns, "link", "set", "lo", "up")
	m := newMember(l.t, fmt.Sprint("n", l.n), args...)
	m.client, m.peer = addr+":2379", addr+":2380"
	m.prefix = []string{"ip", "netns", "exec", ns}
	return m
}

func (l *lan) addr(n int) string { return fmt.Sprintf("%s.%d", l.net, n) }

func (l *lan) link(n int) string { return fmt.Sprintf("%sv%d", l.id, n) }

// isolate takes a member off the bridge, but leaves its clients' way open by
// nothing: it is quite alone.
func (l *lan) isolate(n int) { run(l.t, "ip", "link", "set", l.link(n), "nomaster") }

func (l *lan) heal(n int) { run(l.t, "ip", "link", "set", l.link(n), "master", l.id) }

// While one founder is cut off nothing forms, on either side; healing gives
// one cluster.
func TestMinorityPartitionDuringFormation(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	third := l.addr(3) + ":2380"
	seeds := fmt.Sprintf("%s:2380,%s:2380,%s", l.addr(1), l.addr(2), third)
	var ms []*member
	for range 3 {
		ms = append(ms, l.member("--seeds", seeds))
	}
	l.isolate(3)
	for _, m := range ms {
		m.start()
	}
	for _, m := range ms[:2] {
		eventually(t, m.name+" says that it waits for the third", func() bool {
			return strings.Contains(m.why(), third)
		})
	}
	time.Sleep(3 * time.Second) // three election timeouts in which nothing may form
	for _, m := range ms[:2] {
		if s, err := m.status(); err != nil || s.Stage == "member" {
			t.Fatalf("%s: stage %q, %v", m.name, s.Stage, err)
		}
	}
	l.heal(3)
	ready(t, ms...)

	// And a leader that is cut off from a formed cluster does not stop it.
	lead := leader(t, ms)
	for i, m := range ms {
		if m == lead {
			l.isolate(i + 1)
			defer l.heal(i + 1)
		}
	}
	var rest []*member
	for _, m := range ms {
		if m != lead {
			rest = append(rest, m)
		}
	}
	c := dial(t, rest...)
	eventually(t, "the others go on", func() bool { return tryPut(c, "a", "b") })
}
