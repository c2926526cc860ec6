package process

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/musterhq/muster/internal/history"
)

// witnesses are clients that read, write and compare-and-set a few keys through
// any member, and note what they see.
type witnesses struct {
	t     *testing.T
	begun time.Time
	stop  chan struct{}
	wg    sync.WaitGroup

	mu      sync.Mutex
	members []*member
	ops     []history.Op
	seen    map[string]bool // values that anybody has seen in the store
}

func newWitnesses(t *testing.T, n int, ms ...*member) *witnesses {
	w := &witnesses{t: t, begun: time.Now(), stop: make(chan struct{}), members: ms, seen: map[string]bool{}}
	for i := range n {
		w.wg.Go(func() { w.run(i) })
	}
	t.Cleanup(w.end)
	return w
}

func (w *witnesses) end() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.wg.Wait()
}

func (w *witnesses) through(ms ...*member) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.members = ms
}

// run is one client. It goes to another member after an error.
func (w *witnesses) run(client int) {
	for {
		w.mu.Lock()
		m := w.members[rand.IntN(len(w.members))]
		w.mu.Unlock()
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{m.client}, Logger: zap.NewNop()})
		if err != nil {
			w.t.Error(err)
			return
		}
		last := "" // value that this client knows of the key
		for ok := true; ok; {
			select {
			case <-w.stop:
				_ = c.Close() // nothing to learn from it
				return
			case <-time.After(5 * time.Millisecond): // so that the search for a linearization stays short
			}
			last, ok = w.act(c, client, last)
		}
		_ = c.Close() // nothing to learn from it
	}
}

// act carries one operation out. Keys are other ones each second, so that
// those that nobody knows the end of are few for each.
func (w *witnesses) act(c *clientv3.Client, client int, last string) (value string, ok bool) {
	o := history.Op{Client: client, Key: fmt.Sprintf("seen/%d/%d", int(time.Since(w.begun).Seconds()), rand.IntN(3))}
	w.mu.Lock()
	o.ID = len(w.ops) + 1
	o.Value = fmt.Sprint(o.ID)
	w.ops = append(w.ops, o) // its place
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), electionTimeout)
	defer cancel()
	o.Call = int64(time.Since(w.begun))
	var err error
	switch rand.IntN(5) {
	case 0, 1:
		o.Kind = history.Get
		var r *clientv3.GetResponse
		if r, err = c.Get(ctx, o.Key); err == nil && len(r.Kvs) > 0 {
			o.Got = string(r.Kvs[0].Value)
		}
		value = o.Got
	case 2, 3:
		o.Kind = history.Put
		_, err = c.Put(ctx, o.Key, o.Value)
		value = o.Value
	default:
		o.Kind, o.Old = history.CAS, last
		value, err = compareAndSet(ctx, c, &o)
	}
	o.Return = math.MaxInt64
	if err == nil {
		o.Fate, o.Return = history.Happened, int64(time.Since(w.begun))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[value] = w.seen[value] || err == nil
	w.ops[o.ID-1] = o
	return value, err == nil
}

// compareAndSet sets the key if it is still what it was, and gives what it is.
// A key that isn't there compares as the empty value, by its version.
func compareAndSet(ctx context.Context, c *clientv3.Client, o *history.Op) (string, error) {
	cmp := clientv3.Compare(clientv3.Value(o.Key), "=", o.Old)
	if o.Old == "" {
		cmp = clientv3.Compare(clientv3.Version(o.Key), "=", 0)
	}
	r, err := c.Txn(ctx).If(cmp).Then(clientv3.OpPut(o.Key, o.Value)).Else(clientv3.OpGet(o.Key)).Commit()
	switch {
	case err != nil:
		return "", err
	case r.Succeeded:
		o.Won = true
		return o.Value, nil
	}
	if kvs := r.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
		return string(kvs[0].Value), nil
	}
	return "", nil
}

// check ends the clients and looks for an order that explains what they saw. A
// write whose client heard nothing has happened if anybody saw its value; if
// nobody did, nothing that was seen depends on it.
func (w *witnesses) check() {
	w.t.Helper()
	w.end()
	unknown := 0
	ops := slices.Clone(w.ops)
	for i, o := range ops {
		if o.Fate != history.Unknown {
			continue
		}
		unknown++
		ops[i].Fate = history.DidNot
		if o.Kind != history.Get && w.seen[o.Value] {
			ops[i].Fate, ops[i].Won = history.Happened, o.Kind == history.CAS
		}
	}
	if err := history.Check(ops, patience); err != nil {
		w.t.Errorf("what clients saw: %v", err)
	}
	w.t.Logf("%d operations seen, %d of unknown outcome", len(ops), unknown)
}
