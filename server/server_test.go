package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/loopback"
	"github.com/musterhq/muster/kv"
	"github.com/musterhq/muster/statemachine"
)

// fakeNode is a member that applies at once what it is given.
type fakeNode struct {
	mu     sync.Mutex
	store  *kv.Store
	status cluster.Status
	why    []event.Reason
	survey event.Survey
	index  uint64
	calls  []string
	ask    func(ctx context.Context, to cluster.NodeID, question []byte) ([]byte, error)
	opErr  error // of leave, remove, transfer
	once   sync.Once
	done   chan struct{}
	err    error
}

func (n *fakeNode) Traffic() []cluster.Traffic {
	return []cluster.Traffic{{ID: 2, Connected: true, Sent: 20, Received: 30, Dropped: 4}, {ID: 0x3c}}
}

func (n *fakeNode) call(format string, args ...any) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls = append(n.calls, fmt.Sprintf(format, args...))
	return n.opErr
}

func (n *fakeNode) Propose(_ context.Context, cmd []byte) (statemachine.Result, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.index++
	res, err := n.store.Apply(n.index, []statemachine.Entry{{Index: n.index, Command: cmd, Wanted: true}})
	if err != nil {
		return nil, err
	}
	return res[0], nil
}

func (n *fakeNode) ReadIndex(context.Context) (uint64, error) {
	if n.Status().Leader == 0 {
		return 0, muster.ErrNotLeader
	}
	return 0, nil
}

func (n *fakeNode) Glance() cluster.Glance {
	s := n.Status()
	return cluster.Glance{ClusterID: s.ClusterID, Self: s.Self.ID, Leader: s.Leader, Term: s.Term}
}

func (n *fakeNode) Status() *cluster.Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	st := n.status
	return &st
}

func (n *fakeNode) set(f func(st *cluster.Status)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(&n.status)
}

func (n *fakeNode) Why() []event.Reason                 { return n.why }
func (n *fakeNode) Survey(context.Context) event.Survey { return n.survey }
func (n *fakeNode) Remove(_ context.Context, id cluster.NodeID) error {
	return n.call("remove %d", id)
}
func (n *fakeNode) Announce(_ context.Context, urls []string, learner bool) (cluster.Announced, error) {
	return cluster.Announced{}, n.call("announce %v %v", urls, learner)
}
func (n *fakeNode) Promote(_ context.Context, id cluster.NodeID) error {
	return n.call("promote %d", id)
}
func (n *fakeNode) Readdress(_ context.Context, id cluster.NodeID, urls []string) error {
	return n.call("readdress %d %v", id, urls)
}
func (n *fakeNode) RemoveBelowFloor(_ context.Context, id cluster.NodeID) error {
	return n.call("remove %d below the floor", id)
}
func (n *fakeNode) LeaveBelowFloor(context.Context) error { return n.call("leave below the floor") }
func (n *fakeNode) SetPolicy(_ context.Context, settings map[string]string, why string) error {
	return n.call("set %v because %s", settings, why)
}
func (n *fakeNode) Plan(_ context.Context, suppose string) (event.Forecast, error) {
	return event.Forecast{If: suppose}, n.call("plan %s", suppose)
}
func (n *fakeNode) Transfer(_ context.Context, id cluster.NodeID) error {
	return n.call("transfer %d", id)
}
func (n *fakeNode) Ask(ctx context.Context, to cluster.NodeID, question []byte) ([]byte, error) {
	if n.ask == nil {
		return nil, muster.ErrRefused
	}
	return n.ask(ctx, to, question)
}
func (n *fakeNode) Ready(ctx context.Context) error {
	if n.Status().Leader == 0 {
		<-ctx.Done()
	}
	return ctx.Err()
}
func (n *fakeNode) AbandonGenesis(_ context.Context, gone []string) error {
	return n.call("abandon %s", gone)
}

func (n *fakeNode) Leave(context.Context) error {
	if err := n.call("leave"); err != nil {
		return err
	}
	n.end(muster.ErrRemoved)
	time.Sleep(50 * time.Millisecond) // a server that doesn't wait for the answer has closed the connection by then
	return nil
}
func (n *fakeNode) HandOver(context.Context)   { n.call("hand over") }
func (n *fakeNode) Stop(context.Context) error { n.call("stop"); n.end(nil); return nil }
func (n *fakeNode) Close() error               { n.call("close"); n.end(nil); return nil }
func (n *fakeNode) Done() <-chan struct{}      { return n.done }
func (n *fakeNode) PeerAddr() string           { return "127.0.0.1:1" }
func (n *fakeNode) Err() error {
	select {
	case <-n.done:
		return n.err
	default:
		return nil
	}
}

func (n *fakeNode) end(err error) {
	n.once.Do(func() {
		n.err = err
		close(n.done)
	})
}

// rig is a server over a fake node on a real port.
type rig struct {
	*Server
	node *fakeNode
	addr string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	fs := vfs.NewMem()
	if err := fs.MkdirAll("data", 0o755); err != nil {
		t.Fatal(err)
	}
	store := kv.New(kv.Options{FS: fs, CacheBytes: 1 << 20, MemTableBytes: 1 << 20})
	if _, err := store.Open("data"); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	self := cluster.Member{ID: 1, Name: "a", PeerAddr: "h1:2380", ClientAddr: addr, Role: cluster.Voter}
	n := &fakeNode{store: store, done: make(chan struct{}), status: cluster.Status{
		Self: self, Cluster: "test", ClusterID: cluster.ClusterID{7: 9}, Stage: "member", State: "leader",
		Leader: 1, Term: 3, Committed: 12, Applied: 11, First: 2, Last: 12, LogBytes: 4096, Pending: 1,
		Members: []cluster.MemberStatus{
			{Member: self, Match: 12, Applied: 11, Connected: true},
			{Member: cluster.Member{ID: 2, Name: "b", PeerAddr: "h2:2380", Role: cluster.Learner}, Match: 7, Progress: "snapshot", Sent: 10, Total: 20},
		},
	}}
	s := newServer(Config{RequestTimeout: patience}, parts{node: n, store: store, size: store.Size, events: &recorder{}, tally: newTally(false)})
	s.advertise = addr
	s.serve(l)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		store.Close()
	})
	return &rig{Server: s, node: n, addr: addr}
}

// http asks the server; the transport keeps nothing open.
func (r *rig) do(t *testing.T, method, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+r.addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r.send(t, req)
}

func (r *rig) send(t *testing.T, req *http.Request) (int, string) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return resp.StatusCode, string(b)
}

func TestOnePortServesEtcdsClientAndHTTP(t *testing.T) {
	r := newRig(t)
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{r.addr}, Logger: zap.NewNop(), DialTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := c.Put(ctx, "k", "v"); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Get(ctx, "k"); err != nil || len(got.Kvs) != 1 {
		t.Errorf("get: %v, %v", got, err)
	}
	if code, body := r.do(t, "GET", "/version"); code != 200 || !strings.Contains(body, `"etcdserver":"3.7.3-muster.`) || !strings.Contains(body, `"etcdcluster":"3.7.0"`) || !strings.Contains(body, `"muster":"`) {
		t.Errorf("version: %d %s", code, body)
	}
}

func TestHealth(t *testing.T) {
	healthy := func(*fakeNode) {}
	leaderless := func(n *fakeNode) { n.set(func(st *cluster.Status) { st.Leader = 0 }) }
	blank := func(n *fakeNode) {
		n.set(func(st *cluster.Status) { *st = cluster.Status{Stage: "blank", State: "forming"} })
		n.why = []event.Reason{{Code: "seed_unreachable", Text: "waiting for seed c"}}
	}
	for _, tt := range []struct {
		name, path string
		node       func(*fakeNode)
		code       int
		body       string // part of it
	}{
		{"healthy", "/health", healthy, 200, `{"health":"true","reason":""}`},
		{"no leader", "/health", leaderless, 503, `{"health":"false","reason":"RAFT NO LEADER`},
		{"no leader, serializable", "/health?serializable=true", leaderless, 200, `{"health":"true"`},
		{"no member", "/health", blank, 503, "waiting for seed c"},
		{"no member, serializable", "/health?serializable=true", blank, 503, "waiting for seed c"},
		{"healthy", "/livez", healthy, 200, "ok\n"},
		{"no member is alive", "/livez", blank, 200, "ok\n"},
		{"healthy", "/readyz", healthy, 200, "ok\n"},
		{"verbose", "/readyz?verbose", healthy, 200, "[+]not_stopping ok\n[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\nok\n"},
		{"no leader", "/readyz", leaderless, 503, "[+]serializable_read ok\n[-]linearizable_read failed: RAFT NO LEADER"},
		{"no leader, but that", "/readyz?exclude=linearizable_read", leaderless, 200, "ok\n"},
		{"no leader, one check", "/readyz/serializable_read", leaderless, 200, "ok\n"},
		{"no member", "/readyz", blank, 503, "waiting for seed c"},
	} {
		t.Run(tt.path+" "+tt.name, func(t *testing.T) {
			r := newRig(t)
			tt.node(r.node)
			if code, body := r.do(t, "GET", tt.path); code != tt.code || !strings.Contains(body, tt.body) {
				t.Errorf("%d %q, want %d %q", code, body, tt.code, tt.body)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	r := newRig(t)
	r.node.why = []event.Reason{{Code: "learner_behind"}, {Code: "learner_behind"}}
	r.events.add(event.LeaderChanged{Term: 2}, time.Time{})
	r.events.add(event.LeaderChanged{Term: 3, Leader: 1}, time.Time{})
	_, body := r.do(t, "GET", "/metrics")
	for _, line := range []string{
		"etcd_server_has_leader 1", "etcd_server_is_leader 1", "etcd_server_leader_changes_seen_total 1",
		"etcd_server_proposals_committed_total 12", "etcd_server_proposals_applied_total 11", "etcd_server_proposals_pending 1",
		"muster_term 3", "muster_log_bytes 4096", "muster_voters 1", "muster_members 2", "muster_peers_connected 0",
		`muster_peer_match_index{id="0000000000000002",name="b"} 7`, `muster_why{code="learner_behind"} 2`, "go_goroutines", "process_open_fds",
	} {
		if !strings.Contains(body, "\n"+line) {
			t.Errorf("no line %q", line)
		}
	}
}

func TestWhyAndStatusBeforeMembership(t *testing.T) {
	r := newRig(t)
	r.node.set(func(st *cluster.Status) {
		*st = cluster.Status{Self: cluster.Member{ID: 1, Name: "a"}, Cluster: "test", Stage: "blank", State: "forming"}
	})
	r.node.why = []event.Reason{{Code: "seed_unreachable", Text: "waiting for seed c", WayOut: "start c"}}
	var why WhyAnswer
	if code, body := r.do(t, "GET", "/v1/why"); code != 200 || json.Unmarshal([]byte(body), &why) != nil || !slices.Equal(why.Reasons, r.node.why) || why.Stage != "blank" {
		t.Errorf("why: %d %s", code, body)
	}
	var st cluster.Status
	if code, body := r.do(t, "GET", "/v1/status"); code != 200 || json.Unmarshal([]byte(body), &st) != nil || st.State != "forming" {
		t.Errorf("status: %d %s", code, body)
	}
	var all ClusterStatus
	if code, body := r.do(t, "GET", "/v1/status?cluster=1"); code != 200 || json.Unmarshal([]byte(body), &all) != nil || len(all.Members) != 0 || all.Stage != "blank" {
		t.Errorf("cluster status: %d %s", code, body)
	}
}

func TestClusterStatusAsksTheOthers(t *testing.T) {
	leader, follower := newRig(t), newRig(t)
	gone := loopback.Addrs(t, 1)[0] // nobody listens there
	members := []cluster.MemberStatus{
		{Member: cluster.Member{ID: 1, Name: "a", PeerAddr: "h1:2380", ClientAddr: leader.addr, Role: cluster.Voter}},
		{Member: cluster.Member{ID: 2, Name: "b", PeerAddr: "h2:2380", ClientAddr: follower.addr, Role: cluster.Voter}},
		{Member: cluster.Member{ID: 3, Name: "c", PeerAddr: "h3:2380", ClientAddr: gone, Role: cluster.Voter}},
		{Member: cluster.Member{ID: 4, Name: "d", PeerAddr: "h4:2380", ClientAddr: leader.addr, Role: cluster.Voter}},
		{Member: cluster.Member{ID: 5, Name: "e", PeerAddr: "h5:2380", Role: cluster.Learner}},
	}
	follower.node.set(func(st *cluster.Status) {
		st.Self, st.State, st.Applied, st.Members = members[1].Member, "follower", 9, members
	})
	leader.node.set(func(st *cluster.Status) {
		st.Members = slices.Clone(members)
		st.Members[0].Match, st.Members[1].Match, st.Members[2].Match = 12, 10, 4
	})
	follower.peerTimeout = patience
	got := follower.ClusterStatus(t.Context())
	if got.Leader != 1 || got.LeaderName != "a" || got.Term != 3 || len(got.Members) != 5 {
		t.Fatalf("%+v", got)
	}
	a, b, c, d, e := got.Members[0], got.Members[1], got.Members[2], got.Members[3], got.Members[4]
	if !a.Leader || a.Match != 12 || a.Applied != 11 || a.Err != "" {
		t.Errorf("the leader, asked: %+v", a)
	}
	if b.Leader || b.Match != 10 || b.Applied != 9 {
		t.Errorf("the one who was asked: %+v", b)
	}
	if c.Match != 4 || c.Applied != 0 || c.Err != "no answer at "+gone+": connect: connection refused" {
		t.Errorf("the one that doesn't answer: %+v", c)
	}
	if !strings.Contains(d.Err, "not d") {
		t.Errorf("somebody else at its address: %+v", d)
	}
	if !strings.Contains(e.Err, "no client address") {
		t.Errorf("the one without an address: %+v", e)
	}
}

func TestAdmin(t *testing.T) {
	for _, tt := range []struct {
		path string
		err  error
		code int
		call string
		body string
	}{
		{"/v1/members/b/remove", nil, 200, "remove 2", "b (0000000000000002) was removed"},
		{"/v1/members/0000000000000002/remove", nil, 200, "remove 2", `"id":"0000000000000002"`},
		{"/v1/members/2/remove", nil, 200, "remove 2", "was removed"},
		{"/v1/members/b/promote", nil, 200, "promote 2", "b (0000000000000002) may vote"},
		{"/v1/members/b/promote", &muster.RefusedError{Code: "catching_up", Reason: "b is catching up"}, 409, "promote 2", "promote b: refused: b is catching up"},
		{"/v1/members/nobody/remove", nil, 404, "", `"code":"no_such_member"`},
		{"/v1/members/b/remove", fmt.Errorf("%w: no quorum would be left", muster.ErrRefused), 409, "remove 2", `"outcome":"did_not_happen"`},
		{"/v1/members/b/remove", muster.ErrUnknownOutcome, 504, "remove 2", `"outcome":"unknown"`},
		{"/v1/members/b/remove", context.DeadlineExceeded, 504, "remove 2", `"outcome":"unknown"`},
		{"/v1/members/b/remove", errors.New("surprise"), 500, "remove 2", `"outcome":"unknown"`},
		{"/v1/members/b/remove?below_floor=1", nil, 200, "remove 2 below the floor", "b (0000000000000002) was removed"},
		{"/v1/leave?below_floor=1", nil, 200, "leave below the floor", "has left"},
		{"/v1/transfer?to=b", nil, 200, "transfer 2", `"leader":"0000000000000001"`},
		{"/v1/transfer", nil, 200, "transfer 0", "a leads in term 3"},
		{"/v1/transfer", muster.ErrNotLeader, 503, "transfer 0", `"code":"no_leader"`},
		{"/v1/leave", muster.ErrRefused, 409, "leave", `"code":"refused"`},
		{"/v1/abandon-genesis?gone=b,c", muster.ErrRefused, 409, "abandon [b c]", `"code":"refused"`},
	} {
		r := newRig(t)
		r.node.opErr = tt.err
		code, body := r.do(t, "POST", tt.path)
		if got := strings.Join(r.node.calls, ";"); code != tt.code || got != tt.call || !strings.Contains(body, tt.body) {
			t.Errorf("%s with %v: %d %s after %q, want %d %s after %q", tt.path, tt.err, code, body, got, tt.code, tt.body, tt.call)
		}
		if code, _ := r.do(t, "GET", tt.path); code != 405 {
			t.Errorf("GET %s: %d, want 405", tt.path, code)
		}
	}
}

// The node stops by itself as soon as it has left, and the answer must get out.
func TestLeaveIsAnsweredAndThenTheServerEnds(t *testing.T) {
	r := newRig(t)
	if code, body := r.do(t, "POST", "/v1/leave"); code != 200 || !strings.Contains(body, "has left the cluster") {
		t.Errorf("%d %s", code, body)
	}
	select {
	case <-r.Done():
	case <-time.After(patience):
		t.Fatal("the server goes on after its node has left")
	}
	if !errors.Is(r.Err(), muster.ErrRemoved) {
		t.Errorf("%v, want %v", r.Err(), muster.ErrRemoved)
	}
	if _, err := net.Dial("tcp", r.addr); err == nil {
		t.Error("the port is still open")
	}
}

func TestStopHandsOverFirst(t *testing.T) {
	r := newRig(t)
	r.node.set(func(st *cluster.Status) { st.Members[1].Role = cluster.Voter })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(r.node.calls, ";"); got != "hand over;stop" {
		t.Errorf("calls %q, want hand over;stop", got)
	}
	if r.Err() != nil {
		t.Errorf("stopped with %v", r.Err())
	}
}

// TestStopEndsWatches: a stream that nobody ends does not hold up a stop.
func TestStopEndsWatches(t *testing.T) {
	r := newRig(t)
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{r.addr}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if w := <-c.Watch(ctx, "a", clientv3.WithCreatedNotify()); !w.Created {
		t.Fatal(w)
	}
	_, body := r.do(t, "GET", "/metrics")
	for _, line := range []string{"watch_stream_total 1", "watcher_total 1", "slow_watcher_total 0"} {
		if !strings.Contains(body, "\netcd_debugging_mvcc_"+line) {
			t.Errorf("no metric %q", line)
		}
	}
	if err := r.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if ctx.Err() != nil {
		t.Error("the stop waited for the watch")
	}
}

func TestEventsAreBounded(t *testing.T) {
	r := newRig(t)
	for i := range maxEvents + 10 {
		r.events.add(event.Compacted{Index: uint64(i)}, time.Unix(int64(i), 0))
	}
	var got []struct {
		Kind, Text string
		Event      struct{ Index uint64 }
	}
	_, body := r.do(t, "GET", "/v1/events")
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != maxEvents || got[0].Event.Index != 10 || got[0].Kind != "compacted" || got[maxEvents-1].Text != fmt.Sprintf("log compacted through index %d", maxEvents+9) {
		t.Errorf("%d events from %+v to %+v", len(got), got[0], got[len(got)-1])
	}
}

// TestIdleConnectionsEnd: a client that holds a connection and asks for nothing costs
// a file descriptor, and not for ever.
func TestIdleConnectionsEnd(t *testing.T) {
	r := newRig(t)
	for what, s := range map[string]*http.Server{"clients": r.Server.http, "metrics": r.probing} {
		if s.IdleTimeout <= 0 || s.ReadHeaderTimeout <= 0 {
			t.Errorf("%s: idle for %v, headers within %v", what, s.IdleTimeout, s.ReadHeaderTimeout)
		}
	}
}
