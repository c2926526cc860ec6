package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/loopback"
	"github.com/musterhq/muster/server"
)

// demoCluster is the members of a demo, running or not.
type demoCluster struct {
	dir     string
	members []*demoMember
	ports   *loopback.Ports // theirs, also while they don't run
	feed    feed
}

// demoMember is one of them.
type demoMember struct {
	demoAddrs
	joins bool // added to a cluster that was there already

	mu  sync.Mutex
	srv *server.Server // nil: not running
	how string         // why it is not running, such as "stopped"
}

// openDemo reads which members the directory has, and adds some up to n.
func openDemo(dir string, n int) (*demoCluster, error) {
	old, err := loadAddrs(dir)
	if err != nil {
		return nil, err
	}
	c := &demoCluster{dir: dir, ports: &loopback.Ports{}}
	all, err := extendAddrs(c.ports, old, n)
	if err == nil {
		err = saveAddrs(dir, all)
	}
	if err != nil {
		c.ports.Release()
		return nil, err
	}
	for i, a := range all {
		c.members = append(c.members, &demoMember{demoAddrs: a, joins: len(old) > 0 && i >= len(old)})
	}
	return c, nil
}

func (c *demoCluster) startAll(ctx context.Context) error {
	for _, m := range c.members {
		if err := c.start(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// start starts a member that is not running.
func (c *demoCluster) start(ctx context.Context, m *demoMember) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.srv != nil {
		return fmt.Errorf("%s runs already", m.Name)
	}
	var founders []string
	for _, o := range c.members {
		if !o.joins {
			founders = append(founders, o.Peer)
		}
	}
	cfg := muster.Config{
		Name: m.Name, DataDir: filepath.Join(c.dir, m.Name), Cluster: "demo",
		PeerListen: m.Peer, Seeds: founders, JoinOnly: m.joins,
		OnEvent: func(e event.Event) { c.feed.add(m.Name, e, time.Now()) },
	}
	if len(founders) == 1 && !m.joins {
		cfg.Seeds, cfg.Single = nil, true
	}
	srv, err := server.Start(ctx, server.Config{Listen: m.Client, Node: cfg})
	if err != nil {
		m.how = "failed"
		return fmt.Errorf("start %s: %w", m.Name, err)
	}
	m.srv = srv
	go m.watch(srv)
	return nil
}

// watch notices a server that ends by itself.
func (m *demoMember) watch(srv *server.Server) {
	<-srv.Done()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.srv != srv {
		return // it was told to
	}
	m.srv = nil
	m.how = "ended"
	if err := srv.Err(); err != nil {
		m.how = "ended: " + err.Error()
	}
}

// take marks a running member as not running and gives its server.
func (m *demoMember) take(how string) (*server.Server, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.srv == nil {
		return nil, fmt.Errorf("%s does not run", m.Name)
	}
	srv := m.srv
	m.srv, m.how = nil, how
	return srv, nil
}

// running is its server, or nil and why not.
func (m *demoMember) running() (*server.Server, string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.srv, m.how
}

// command carries out one typed line and says what was done.
func (c *demoCluster) command(ctx context.Context, line string) (string, error) {
	words := strings.Fields(line)
	if len(words) != 2 || !slices.Contains([]string{"stop", "kill", "start"}, words[0]) {
		return "", fmt.Errorf("%q is none of: stop NAME, kill NAME, start NAME, quit", line)
	}
	i := slices.IndexFunc(c.members, func(m *demoMember) bool { return m.Name == words[1] })
	if i < 0 {
		return "", fmt.Errorf("no member has the name %q", words[1])
	}
	m := c.members[i]
	switch words[0] {
	case "start":
		if err := c.start(ctx, m); err != nil {
			return "", err
		}
		return m.Name + " was started", nil
	case "stop":
		srv, err := m.take("stopped")
		if err != nil {
			return "", err
		}
		ctx, cancel := context.WithTimeout(ctx, stopTime)
		defer cancel()
		return m.Name + " was stopped; it stays a member", srv.Stop(ctx)
	default:
		srv, err := m.take("killed")
		if err != nil {
			return "", err
		}
		return m.Name + " was killed, without handing anything over", srv.Close()
	}
}

// waitReady returns when every member is ready and knows of every other.
func (c *demoCluster) waitReady(ctx context.Context) error {
	for _, m := range c.members {
		srv, how := m.running()
		if srv == nil {
			return fmt.Errorf("%s is not running: %s", m.Name, how)
		}
		if err := srv.Ready(ctx); err != nil {
			return fmt.Errorf("%s is not ready: %w", m.Name, err)
		}
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for v := c.view(); !v.ready(); v = c.view() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("not every member was ready in time: %s", v.summary())
		}
	}
	return nil
}

// closeAll ends every member at once; with all of them ending there is nobody
// to hand leadership to.
func (c *demoCluster) closeAll() error {
	errs := make([]error, len(c.members))
	var group sync.WaitGroup
	for i, m := range c.members {
		srv, err := m.take("stopped")
		if err != nil {
			continue
		}
		group.Go(func() { errs[i] = srv.Close() })
	}
	group.Wait()
	c.ports.Release()
	return errors.Join(errs...)
}

// view is what all members know now.
func (c *demoCluster) view() demoView {
	v := demoView{events: c.feed.latest()}
	for _, m := range c.members {
		line := demoLine{name: m.Name, client: m.Client}
		srv, how := m.running()
		if srv == nil {
			line.state = how
			v.lines = append(v.lines, line)
			continue
		}
		line.st = srv.Status()
		line.state = line.st.State
		if why := srv.Why(); len(why) > 0 {
			line.why = why[0].Text
		}
		// The newest term's word counts.
		if line.st.Term >= v.term && !line.st.ClusterID.IsZero() {
			v.term, v.clusterID = line.st.Term, line.st.ClusterID
			v.leader = ""
			if l, ok := line.st.Member(line.st.Leader); ok {
				v.leader = l.Name
			}
		}
		v.lines = append(v.lines, line)
	}
	return v
}

// demoView is one look at the demo.
type demoView struct {
	lines      []demoLine // one per member
	clusterID  cluster.ClusterID
	leader     string // name; "" when there is none
	term       uint64
	events     []feedLine
	readyAfter time.Duration // 0: not yet
}

// demoLine is one member in a view.
type demoLine struct {
	name, client string
	state        string
	st           *cluster.Status // nil: not running
	why          string
}

// role is the member's own idea of its role.
func (l demoLine) role() string {
	if l.st == nil || l.st.Self.Role == 0 {
		return "-"
	}
	return l.st.Self.Role.String()
}

// ready says whether every member runs, has a leader, and knows of them all.
func (v demoView) ready() bool {
	for _, l := range v.lines {
		if l.st == nil || l.st.Leader == 0 || len(l.st.Members) < len(v.lines) {
			return false
		}
	}
	return len(v.lines) > 0
}
