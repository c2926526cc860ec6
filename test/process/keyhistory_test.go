package process

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/internal/history"
)

// askers are clients whose requests are noted with all that came of them,
// revisions too. Nobody else may write to the cluster.
type askers struct {
	t     *testing.T
	begun time.Time
	stop  chan struct{}
	wg    sync.WaitGroup

	mu   sync.Mutex
	all  []history.Request
	last int64 // revision that anybody has heard of
}

func newAskers(t *testing.T, n int, ms []*member) *askers {
	a := &askers{t: t, begun: time.Now(), stop: make(chan struct{}), last: 1}
	for i := range n {
		conn := dial(t, ms[i%len(ms)])
		a.wg.Go(func() { a.run(i, conn) })
	}
	return a
}

// run is one client of one member. It has a lease, once it was told so.
func (a *askers) run(client int, c *clientv3.Client) {
	lease := int64(0)
	for {
		select {
		case <-a.stop:
			return
		case <-time.After(25 * time.Millisecond): // so that the search stays short
		}
		a.mu.Lock()
		id, last := len(a.all)+1, a.last
		a.all = append(a.all, history.Request{}) // its place
		a.mu.Unlock()
		r := history.Request{ID: id, Client: client, What: someRequest(id, last, lease), Return: math.MaxInt64}
		if grant, ok := r.What.(*pb.LeaseGrantRequest); ok {
			grant.ID = int64(id)
		}
		ctx, cancel := context.WithTimeout(context.Background(), electionTimeout)
		r.Call = int64(time.Since(a.begun))
		resp, err := send(ctx, c, r.What)
		back := int64(time.Since(a.begun))
		cancel()
		if err == nil || status.Code(err) == codes.OutOfRange || status.Code(err) == codes.NotFound {
			r.Fate, r.Return, r.Answer = history.Happened, back, history.Answer(resp, err)
		}
		a.mu.Lock()
		a.all[id-1] = r
		if err == nil {
			a.last = max(a.last, resp.(interface{ GetHeader() *pb.ResponseHeader }).GetHeader().GetRevision())
			if grant, ok := r.What.(*pb.LeaseGrantRequest); ok {
				lease = grant.ID
			}
		}
		a.mu.Unlock()
	}
}

func send(ctx context.Context, c *clientv3.Client, r proto.Message) (proto.Message, error) {
	kvs := pb.NewKVClient(c.ActiveConnection()) // it tries nothing twice
	switch r := r.(type) {
	case *pb.RangeRequest:
		return kvs.Range(ctx, r)
	case *pb.PutRequest:
		return kvs.Put(ctx, r)
	case *pb.TxnRequest:
		return kvs.Txn(ctx, r)
	case *pb.LeaseGrantRequest:
		return pb.NewLeaseClient(c.ActiveConnection()).LeaseGrant(ctx, r)
	}
	return nil, fmt.Errorf("no client for a %T", r)
}

// someRequest draws one. All that write put a value that says who they are.
func someRequest(id int, last, lease int64) proto.Message {
	key := func() []byte { return fmt.Appendf(nil, "h/%d", rand.IntN(5)) }
	all := &pb.RangeRequest{Key: []byte("h/"), RangeEnd: []byte("h0")}
	put := &pb.PutRequest{Key: key(), Value: fmt.Append(nil, id), PrevKv: true, Lease: lease}
	switch rand.IntN(8) {
	case 0:
		return all
	case 1:
		all.Revision = max(last+1-rand.Int64N(30), 1)
		return all
	case 2, 3:
		return put
	case 4:
		if lease == 0 {
			return &pb.LeaseGrantRequest{TTL: 3600}
		}
	}
	put.Key = []byte("h/a")
	guard := &pb.Compare{Key: put.Key, Target: pb.Compare_MOD, Result: pb.Compare_EQUAL, TargetUnion: &pb.Compare_ModRevision{}}
	guard.Result = pb.Compare_CompareResult(rand.IntN(4))
	guard.TargetUnion = &pb.Compare_ModRevision{ModRevision: last - rand.Int64N(5)}
	inner := &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: key(), Target: pb.Compare_VERSION, Result: pb.Compare_GREATER, TargetUnion: &pb.Compare_Version{Version: 1}}},
		Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: key(), PrevKv: true}}}},
		Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: all}}},
	}
	return &pb.TxnRequest{
		Compare: []*pb.Compare{guard},
		Success: []*pb.RequestOp{
			{Request: &pb.RequestOp_RequestPut{RequestPut: put}},
			{Request: &pb.RequestOp_RequestTxn{RequestTxn: inner}},
		},
		Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: put.Key}}}},
	}
}

// written lists the values that were ever put, by a watch from the first revision on.
func (a *askers) written(c *clientv3.Client) map[string]bool {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	now, err := c.Put(ctx, "h/end", "end")
	if err != nil {
		a.t.Fatal(err)
	}
	seen, last := map[string]bool{}, int64(1)
	for r := range c.Watch(ctx, "h/", clientv3.WithPrefix(), clientv3.WithRev(2)) {
		for _, e := range r.Events {
			if rev := e.Kv.ModRevision; rev != last && rev != last+1 {
				a.t.Fatalf("a watch of all that is written goes from revision %d to %d", last, rev)
			}
			last = e.Kv.ModRevision
			seen[string(e.Kv.Value)] = true
		}
		if last >= now.Header.Revision {
			return seen
		}
	}
	a.t.Fatalf("the watch ended at revision %d of %d", last, now.Header.Revision)
	return nil
}

// check ends the clients and looks for an order that explains what they heard.
func (a *askers) check(c *clientv3.Client) {
	a.t.Helper()
	close(a.stop)
	a.wg.Wait()
	seen, unknown := a.written(c), 0
	for i, r := range a.all {
		if r.Fate == history.Unknown {
			unknown++
			if a.all[i].Fate = history.DidNot; seen[fmt.Sprint(r.ID)] {
				a.all[i].Fate = history.Happened
			}
		}
	}
	if err := history.CheckEtcd(a.all, patience); err != nil {
		a.t.Errorf("what clients heard: %v", err)
	}
	a.t.Logf("%d requests, %d of unknown outcome, %d writes", len(a.all), unknown, len(seen))
}

// TestRequestsAreLinearizable: transactions, leases' keys and reads of the past,
// with their revisions, while leaders are killed, stopped for a while and asked to end.
func TestRequestsAreLinearizable(t *testing.T) {
	ms := formed(t)
	a := newAskers(t, 5, ms)
	for _, fault := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGTERM} {
		time.Sleep(time.Second) // traffic between the faults; nothing waits for it
		l := leader(t, ms)
		switch fault {
		case syscall.SIGSTOP:
			l.Signal(fault)
			time.Sleep(3 * electionTimeout)
			l.Signal(syscall.SIGCONT)
		case syscall.SIGKILL:
			l.Kill()
			l.start()
		default:
			l.term()
			l.start()
		}
		ready(t, ms...)
	}
	time.Sleep(time.Second)
	a.check(dial(t, ms...))
}
