package process

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// electionTimeout is the program's default.
const electionTimeout = time.Second

// load puts keys, each once, as fast as it can, and keeps account of them.
type load struct {
	t    *testing.T
	stop chan struct{}
	wg   sync.WaitGroup

	mu      sync.Mutex
	members []*member
	acked   []string // keys whose put was acknowledged
	open    []string // keys whose put has an unknown outcome
	lastErr error
	acks    chan time.Time // the start times of acknowledged puts; may be full
}

func newLoad(t *testing.T, workers int, first *member) *load {
	l := &load{t: t, stop: make(chan struct{}), members: []*member{first}, acks: make(chan time.Time, 1)}
	for w := range workers {
		l.wg.Go(func() { l.run(w) })
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.wg.Wait()
}

func (l *load) add(m *member) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.members = append(l.members, m)
}

// run is one client: it talks to one member at a time, and to another after an
// error.
func (l *load) run(worker int) {
	for k := 0; ; {
		l.mu.Lock()
		m := l.members[rand.IntN(len(l.members))]
		l.mu.Unlock()
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{m.client}, Logger: zap.NewNop()})
		if err != nil {
			l.t.Error(err)
			return
		}
		for err == nil {
			select {
			case <-l.stop:
				_ = c.Close() // nothing to learn from it
				return
			default:
			}
			err = l.put(c, fmt.Sprintf("load/%d/%d", worker, k))
			k++ // a key whose outcome is unknown is never put again
		}
		_ = c.Close() // nothing to learn from it
	}
}

func (l *load) put(c *clientv3.Client, key string) error {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), electionTimeout)
	defer cancel()
	_, err := c.Put(ctx, key, key)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.open = append(l.open, key)
		l.lastErr = err
		return err
	}
	l.acked = append(l.acked, key)
	select {
	case l.acks <- begin:
	default:
	}
	return nil
}

// resumes waits for a put that began after since and was acknowledged, and
// says how long after. How long that may take is held where it doesn't depend on
// what else the machine does: see TestWritesOutliveTheirLeader.
func (l *load) resumes(since time.Time) time.Duration {
	l.t.Helper()
	end := time.After(patience)
	for {
		select {
		case began := <-l.acks:
			if began.After(since) {
				return time.Since(since)
			}
		case <-end:
			l.mu.Lock()
			defer l.mu.Unlock()
			l.t.Fatalf("no write was acknowledged within %v; the last error: %v", patience, l.lastErr)
		}
	}
}

// check compares what was acknowledged with what is there.
func (l *load) check(c *clientv3.Client) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := c.Get(ctx, "load/", clientv3.WithPrefix())
	if err != nil {
		l.t.Fatal(err)
	}
	there := map[string]int64{}
	for _, kv := range r.Kvs {
		if string(kv.Key) != string(kv.Value) {
			l.t.Errorf("%s holds %q", kv.Key, kv.Value)
		}
		there[string(kv.Key)] = kv.Version
	}
	for _, k := range l.acked {
		if there[k] != 1 {
			l.t.Errorf("%s was acknowledged once and written %d times", k, there[k])
		}
		delete(there, k)
	}
	for _, k := range l.open {
		if there[k] > 1 {
			l.t.Errorf("%s, of unknown outcome, was written %d times", k, there[k])
		}
		delete(there, k)
	}
	for k := range there {
		l.t.Errorf("%s was never put", k)
	}
	l.t.Logf("%d writes acknowledged, %d of unknown outcome", len(l.acked), len(l.open))
}

// One member grows to five under load, its leader is killed three times, then
// all are; every acknowledged write is there, none twice.
func TestGrowAndKillUnderLoad(t *testing.T) {
	n1 := newMember(t, "n1", "--single")
	ms := []*member{n1}
	n1.start()
	ready(t, n1)
	l := newLoad(t, 8, n1)
	for i := 2; i <= 5; i++ {
		m := newMember(t, fmt.Sprint("n", i), "--join-only", "--seeds", ms[i-2].peer)
		m.start()
		ready(t, m)
		ms = append(ms, m)
		l.add(m)
		if i == 3 || i == 5 {
			voters(t, n1, i)
		}
	}
	for round := range 3 {
		lead := leader(t, ms)
		lead.Kill()
		took := l.resumes(time.Now())
		t.Logf("kill %d: %s led; writes went on after %v", round+1, lead.name, took)
		lead.start()
		ready(t, lead)
		same(t, lead, leader(t, ms))
	}
	for _, m := range ms {
		m.Kill()
	}
	l.end()
	for _, m := range ms {
		m.start()
	}
	ready(t, ms...)
	for _, m := range ms {
		if strings.Contains(m.Said(), "panic") {
			t.Errorf("%s panicked", m.name)
		}
	}
	l.check(dial(t, ms...))
}
