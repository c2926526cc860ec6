package mustertest

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/internal/transport"
	"github.com/musterhq/muster/statemachine"
)

// Options of a cluster. The zero value is one of three members with a
// [Journal] each.
type Options struct {
	// Founders is how many members found the cluster: n1, n2 and so on. One
	// founds alone. Default 3.
	Founders int

	// Machine makes the state machine for each start of a member. Default: a
	// new [Journal].
	Machine func(name string) statemachine.Machine

	// Config may change what a member is started with, at each of its starts.
	// Set already are Name, DataDir, PeerListen, how it comes to the cluster,
	// Network, Logger, a heartbeat of 50 ms and an election timeout of 500 ms.
	Config func(name string, c *muster.Config)
}

// Cluster is some members on one network.
type Cluster struct {
	t   testing.TB
	opt Options
	net *transport.Memory
	dir string

	mu      sync.Mutex
	members map[string]*Member // as started last
	running map[string]bool
}

// New makes a cluster of which nothing runs yet.
func New(t testing.TB, opt Options) *Cluster {
	t.Helper()
	if opt.Founders == 0 {
		opt.Founders = 3
	}
	if opt.Machine == nil {
		opt.Machine = func(string) statemachine.Machine { return new(Journal) }
	}
	c := &Cluster{
		t: t, opt: opt, net: transport.NewMemory(), dir: t.TempDir(),
		members: map[string]*Member{}, running: map[string]bool{},
	}
	t.Cleanup(c.cleanup)
	return c
}

// cleanup closes what runs. No two journals may ever have differed.
func (c *Cluster) cleanup() {
	names := c.Running()
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() {
			if err := c.Member(name).Close(); err != nil {
				c.t.Errorf("close %s: %v", name, err)
			}
		})
	}
	wg.Wait()
	if err := c.compareJournals(); err != nil {
		c.t.Error(err)
	}
}

// Founders lists the founders' names.
func (c *Cluster) Founders() []string {
	names := make([]string, c.opt.Founders)
	for i := range names {
		names[i] = fmt.Sprintf("n%d", i+1)
	}
	return names
}

// Addr is where peers reach a member. Its host is the member's name.
func Addr(name string) string { return net.JoinHostPort(name, "2380") }

// Dir is a member's data directory.
func (c *Cluster) Dir(name string) string { return filepath.Join(c.dir, name) }

// Config is what a member is started with: a founder with all founders as
// seeds, or alone if it is the only one; anybody else to join through any of
// the founders.
func (c *Cluster) Config(name string) muster.Config {
	cfg := muster.Config{
		Name: name, DataDir: c.Dir(name), PeerListen: Addr(name),
		HeartbeatInterval: 50 * time.Millisecond, ElectionTimeout: 500 * time.Millisecond,
		Network: c.net.Node(name),
		Logger:  slog.New(slog.NewTextHandler(c.t.Output(), nil)),
	}
	founders := c.Founders()
	founder := slices.Contains(founders, name)
	if founder && len(founders) == 1 {
		cfg.Single = true
	} else {
		cfg.JoinOnly = !founder
		for _, f := range founders {
			cfg.Seeds = append(cfg.Seeds, Addr(f))
		}
	}
	if c.opt.Config != nil {
		c.opt.Config(name, &cfg)
	}
	return cfg
}

// Start starts members, founders and others, for the first time or again;
// without names, all founders that don't run. It doesn't wait for the cluster:
// see [Cluster.Ready].
func (c *Cluster) Start(names ...string) {
	c.t.Helper()
	if len(names) == 0 {
		names = slices.DeleteFunc(c.Founders(), c.runs)
	}
	for _, name := range names {
		if _, err := c.TryStart(name); err != nil {
			c.t.Fatalf("start %s: %v", name, err)
		}
	}
}

// TryStart is Start of one member that may fail.
func (c *Cluster) TryStart(name string) (*Member, error) {
	c.t.Helper()
	if c.runs(name) {
		c.t.Fatalf("start %s: it runs already", name)
	}
	cfg := c.Config(name)
	m := &Member{Name: name, Machine: c.opt.Machine(name)}
	cfg.OnEvent = m.listen(cfg.OnEvent)
	c.net.Up(name)
	node, err := muster.Start(context.Background(), cfg, m.Machine)
	if err != nil {
		return nil, err
	}
	m.Node = node
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members[name], c.running[name] = m, true
	return m, nil
}

// Join starts a member that joins through the founders, and waits until it is
// ready.
func (c *Cluster) Join(ctx context.Context, name string) *Member {
	c.t.Helper()
	c.Start(name)
	c.Ready(ctx, name)
	return c.Member(name)
}

// Stop stops members one after another, each handing over leadership first.
// Without names, all that run.
func (c *Cluster) Stop(ctx context.Context, names ...string) {
	c.t.Helper()
	c.end(names, func(m *Member) error { return m.Node.Stop(ctx) })
}

// Crash stops members at once: first they vanish from the network, then they
// are closed, so that nobody hears a last word of them. Without names, all
// that run.
func (c *Cluster) Crash(names ...string) {
	c.t.Helper()
	if len(names) == 0 {
		names = c.Running()
	}
	for _, name := range names {
		c.net.Down(name)
	}
	c.end(names, func(m *Member) error { return m.Close() })
}

// Restart crashes members that run, all at once, and starts them again.
// Without names, all that run.
func (c *Cluster) Restart(names ...string) {
	c.t.Helper()
	if len(names) == 0 {
		names = c.Running()
	}
	if up := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !c.runs(n) }); len(up) > 0 {
		c.Crash(up...)
	}
	c.Start(names...)
}

// Wipe crashes a member if it runs and deletes its data directory. Started
// again it is a new node at the same address.
func (c *Cluster) Wipe(name string) {
	c.t.Helper()
	if c.runs(name) {
		c.Crash(name)
	}
	if err := os.RemoveAll(c.Dir(name)); err != nil {
		c.t.Fatalf("wipe %s: %v", name, err)
	}
}

// Backup copies the data directory of a member, which may run, and returns
// where the copy is.
func (c *Cluster) Backup(name string) (image string) {
	c.t.Helper()
	image, err := os.MkdirTemp(c.dir, "image-of-"+name+"-")
	if err == nil {
		err = copyStill(c.Dir(name), image)
	}
	if err != nil {
		c.t.Fatalf("back up %s: %v", name, err)
	}
	return image
}

// Restore crashes a member if it runs, and puts a copy of an image in the place
// of its data directory. It may be another member's image: then Options.Config
// has to give it that one's name, and it is a clone of it at another address.
func (c *Cluster) Restore(name, image string) {
	c.t.Helper()
	c.Wipe(name)
	if err := copyStill(image, c.Dir(name)); err != nil {
		c.t.Fatalf("restore %s: %v", name, err)
	}
}

func (c *Cluster) end(names []string, how func(*Member) error) {
	c.t.Helper()
	if len(names) == 0 {
		names = c.Running()
	}
	for _, name := range names {
		c.mu.Lock()
		m, ran := c.members[name], c.running[name]
		delete(c.running, name)
		c.mu.Unlock()
		if !ran {
			c.t.Fatalf("stop %s: it doesn't run", name)
		}
		if err := how(m); err != nil {
			c.t.Errorf("stop %s: %v", name, err)
		}
	}
}

func (c *Cluster) runs(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running[name]
}

// Running lists the names of the members that were started and not stopped,
// sorted. One that has ended by itself is among them.
func (c *Cluster) Running() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.running))
}

// Member is a member as it was started last, whether it still runs or not.
func (c *Cluster) Member(name string) *Member {
	c.t.Helper()
	c.mu.Lock()
	m := c.members[name]
	c.mu.Unlock()
	if m == nil {
		c.t.Fatalf("%s was never started", name)
	}
	return m
}
