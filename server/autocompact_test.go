package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/kv"
	"github.com/musterhq/muster/statemachine"
)

// keyspace is a store and a member in the plainest form: ten revisions a minute.
type keyspace struct {
	began time.Time

	mu        sync.Mutex
	leads     bool
	err       error // of a proposal
	compacted int64
	proposed  []string // "minute:revision"
}

func (k *keyspace) set(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

func (k *keyspace) Revision() (current, compacted int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return int64(time.Since(k.began).Minutes()*10) + 1, k.compacted
}

func (k *keyspace) Leads() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.leads
}

func (k *keyspace) Propose(_ context.Context, cmd []byte) (statemachine.Result, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var r pb.CompactionRequest
	if err := proto.Unmarshal(cmd[1:], &r); err != nil {
		return nil, err
	}
	k.proposed = append(k.proposed, fmt.Sprintf("%.0f:%d", time.Since(k.began).Minutes(), r.Revision))
	if k.err != nil {
		return nil, k.err
	}
	if r.Revision <= k.compacted {
		return kv.Reply{Err: kv.ErrCompacted}, nil
	}
	k.compacted = r.Revision
	return kv.Reply{Response: &pb.CompactionResponse{}}, nil
}

// running is a compactor in a bubble of synctest.
func running(t *testing.T, keep AutoCompaction, node *keyspace, during func()) []string {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		node.began = time.Now()
		c := compactor{keep: keep, node: node, timeout: time.Second, log: slog.New(slog.DiscardHandler)}
		ended, done := make(chan struct{}), make(chan struct{})
		go func() { defer close(done); c.run(ended) }()
		during()
		close(ended)
		<-done
	})
	return node.proposed
}

// pass lets time pass, and then a moment for what it sets off.
func pass(d time.Duration) func() {
	return func() { time.Sleep(d + time.Second); synctest.Wait() }
}

func TestAutoCompactionAsEtcdDoesIt(t *testing.T) {
	for name, c := range map[string]struct {
		keep AutoCompaction
		for_ time.Duration
		want string
	}{
		"below an hour: once a period":    {AutoCompaction{Period: 10 * time.Minute}, 31 * time.Minute, "[10:1 20:91 30:191]"},
		"above an hour: once an hour":     {AutoCompaction{Period: 2 * time.Hour}, 4*time.Hour + time.Minute, "[120:1 180:541 240:1141]"},
		"revisions: every five minutes":   {AutoCompaction{Revisions: 70}, 16 * time.Minute, "[10:31 15:81]"},
		"revisions: as long as there are": {AutoCompaction{Revisions: 1000}, time.Hour, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fmt.Sprint(running(t, c.keep, &keyspace{leads: true}, pass(c.for_))); got != c.want {
				t.Errorf("proposed (minute:revision) %s, want %s", got, c.want)
			}
		})
	}
}

// TestAutoCompactionByTheLeader: a member that does not lead proposes nothing,
// and has the past at hand when it comes to lead.
func TestAutoCompactionByTheLeader(t *testing.T) {
	node := &keyspace{}
	got := running(t, AutoCompaction{Period: 10 * time.Minute}, node, func() {
		pass(10 * time.Minute)()
		node.set(func() { node.compacted = 1 }) // by the leader
		pass(15 * time.Minute)()
		node.set(func() { node.leads = true })
		pass(10 * time.Minute)()
	})
	if fmt.Sprint(got) != "[26:151]" {
		t.Errorf("proposed %s, want the revision of before it led, as soon as it leads", got)
	}
}

// TestAutoCompactionTriesAgain: after a failure at the next tick; never one
// that was compacted by hand.
func TestAutoCompactionTriesAgain(t *testing.T) {
	node := &keyspace{leads: true, err: errors.New("no quorum")}
	got := running(t, AutoCompaction{Period: 10 * time.Minute}, node, func() {
		pass(11 * time.Minute)()
		node.set(func() { node.err = nil })
		pass(time.Minute)()
		node.set(func() { node.compacted = 500 })
		pass(11 * time.Minute)()
	})
	if fmt.Sprint(got) != "[10:1 11:1 12:11]" {
		t.Errorf("proposed %s", got)
	}
}

func TestParseAutoCompaction(t *testing.T) {
	for _, c := range []struct {
		mode, retention string
		want            AutoCompaction
		ok              bool
	}{
		{"periodic", "0", AutoCompaction{}, true},
		{"periodic", "2", AutoCompaction{Period: 2 * time.Hour}, true},
		{"periodic", "90s", AutoCompaction{Period: 90 * time.Second}, true},
		{"revision", "1000", AutoCompaction{Revisions: 1000}, true},
		{"revision", "0", AutoCompaction{}, true},
		{"revision", "5m", AutoCompaction{}, false},
		{"revision", "-1", AutoCompaction{}, false},
		{"periodic", "-5m", AutoCompaction{}, false},
		{"periodic", "soon", AutoCompaction{}, false},
		{"hourly", "1", AutoCompaction{}, false},
	} {
		got, err := ParseAutoCompaction(c.mode, c.retention)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%s %s: %+v, %v", c.mode, c.retention, got, err)
		}
	}
	for _, bad := range []Config{
		{AutoCompaction: AutoCompaction{Period: 1, Revisions: 1}}, {Limits: Limits{TxnOps: -1}}, {Limits: Limits{RequestBytes: 31 << 20}}, {Limits: Limits{RequestBytes: -1}},
	} {
		if err := bad.withDefaults().validate(); !errors.Is(err, muster.ErrConfig) {
			t.Errorf("%+v: %v, want %v", bad, err, muster.ErrConfig)
		}
	}
	if n := (Config{Limits: Limits{RequestBytes: 10 << 20}}).commandBytes(); n < 10<<20 {
		t.Errorf("commands of %d bytes for requests of 10 MiB", n)
	}
}
