package sim

import (
	"fmt"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/internal/history"
	"github.com/musterhq/muster/internal/lessor"
)

const (
	lockKey        = "k/lock"
	guardedKey     = "k/guarded"
	tenantClients  = 100 // the first tenant's number as a client
	operatorClient = 99
	longestLease   = 6 // seconds
)

// tenant is a client that holds a lock by a lease, and writes under the fence of
// the revision at which it got the lock. Some don't renew their leases for ever,
// and go on believing.
type tenant struct {
	w      *World
	client int
	lease  int64 // 0: none
	ttl    int64
	token  int64 // create revision of the lock; 0: it hasn't got it
	cares  bool  // renews
	clings bool  // renews at whoever leads without knowing that it is deposed, and nowhere else
	tries  int
}

func (w *World) startTenants() {
	for i := range 3 {
		t := &tenant{w: w, client: tenantClients + i}
		w.tenants = append(w.tenants, t)
		t.think()
	}
	w.tempt()
}

// tempt has tenants ask whoever leads without knowing that it is deposed, as long as
// there is somebody.
func (w *World) tempt() {
	w.after(50*millisecond, "tenants at a deposed leader", func() {
		if w.clients.stopped {
			return
		}
		if old := w.deposed(); old != nil {
			for _, t := range w.tenants {
				if t.lease != 0 && (t.cares || t.clings) {
					t.renew(old, t.lease)
				}
			}
		}
		w.tempt()
	})
}

func (t *tenant) think() {
	t.w.after(30*millisecond+t.w.jitter(400*millisecond), "tenant", func() {
		if p := t.member(); p == nil {
			t.think()
		} else if !t.w.clients.stopped {
			t.act(p)
		}
	})
}

// member is some member that a client can ask.
func (t *tenant) member() *process {
	up := slices.DeleteFunc(t.w.running(), func(p *process) bool { return !p.m.InCluster() || p.node.paused() })
	if len(up) == 0 {
		return nil
	}
	return up[t.w.rng.IntN(len(up))]
}

func (t *tenant) act(p *process) {
	switch {
	case t.lease == 0:
		t.grant(p)
	case t.token == 0:
		t.acquire(p)
	case t.w.rng.IntN(25) == 0:
		r := &pb.LeaseRevokeRequest{ID: t.lease}
		t.forget()
		t.w.clients.ask(t.client, p, r, func(a *attempt) {
			if p := t.member(); p != nil && a.happened() {
				t.w.truth.keys.revoked[r.GetID()] = true
				t.renew(p, r.GetID())
			}
			t.think()
		})
	default:
		if t.w.rng.IntN(10) == 0 {
			t.cares = false
		}
		t.guarded(p)
	}
}

func (t *tenant) forget() { t.lease, t.token, t.cares, t.clings, t.tries = 0, 0, false, false, 0 }

func (t *tenant) grant(p *process) {
	asked := t.w.now
	r := &pb.LeaseGrantRequest{ID: int64(len(t.w.clients.ops) + 1), TTL: 2 + t.w.rng.Int64N(longestLease-1)}
	t.w.clients.ask(t.client, p, r, func(a *attempt) {
		if a.happened() {
			t.w.truth.keys.promised(r.GetID(), asked, r.GetTTL())
			t.lease, t.ttl, t.cares = r.GetID(), r.GetTTL(), true
			t.keep(t.lease)
		}
		t.think()
	})
}

// happened says that the request was carried out, and not refused.
func (a *attempt) happened() bool { return a.op.Fate == history.Happened && a.reply.Err == nil }

// fence compares the create revision of the lock.
func fence(token int64) *pb.Compare {
	return &pb.Compare{Key: []byte(lockKey), Target: pb.Compare_CREATE, Result: pb.Compare_EQUAL, TargetUnion: &pb.Compare_CreateRevision{CreateRevision: token}}
}

func (t *tenant) acquire(p *process) {
	lease := t.lease
	r := &pb.TxnRequest{
		Compare: []*pb.Compare{fence(0)},
		Success: []*pb.RequestOp{putOp(&pb.PutRequest{Key: []byte(lockKey), Value: []byte(fmt.Sprint(t.client)), Lease: lease})},
		Failure: []*pb.RequestOp{rangeOp(&pb.RangeRequest{Key: []byte(lockKey)})},
	}
	t.w.clients.ask(t.client, p, r, func(a *attempt) {
		resp, _ := a.reply.Response.(*pb.TxnResponse)
		switch {
		case !a.happened():
			t.forget() // gone, or nobody knows: the lease will end by itself
		case resp.GetSucceeded():
			t.token = resp.GetHeader().GetRevision()
			t.w.sometimes(lockTaken)
		default:
			if t.tries++; t.tries > 30 {
				t.forget()
			}
		}
		t.think()
	})
}

// guarded writes as the holder of the lock. That succeeds for nobody who has lost
// it.
func (t *tenant) guarded(p *process) {
	token := t.token
	r := &pb.TxnRequest{
		Compare: []*pb.Compare{fence(token)},
		Success: []*pb.RequestOp{putOp(&pb.PutRequest{Key: []byte(guardedKey), Value: []byte(fmt.Sprint(t.client, "/", token))})},
	}
	t.w.clients.ask(t.client, p, r, func(a *attempt) {
		resp, _ := a.reply.Response.(*pb.TxnResponse)
		switch {
		case a.happened() && resp.GetSucceeded():
			rev := resp.GetHeader().GetRevision()
			if held, ok := t.w.truth.keys.now.At(rev - 1).Get(lockKey); !ok || held.Create != token {
				t.w.fail("client %d wrote at revision %d under the fence of %d, but the lock was then %v", t.client, rev, token, held)
			}
		case a.happened():
			t.w.sometimes(fencedOff)
			t.forget()
		}
		t.think()
	})
}

// keep renews a lease in time, again and again.
func (t *tenant) keep(id int64) {
	t.w.after(instant(t.ttl)*second/4, "tenant's renewal", func() {
		if t.lease != id || t.w.clients.stopped {
			return
		}
		p := t.member()
		if old := t.w.deposed(); old != nil && t.w.rng.IntN(2) == 0 {
			p = old // its clients don't know either
		}
		if p != nil && t.cares {
			t.renew(p, id)
		}
		t.keep(id)
	})
}

// renew asks p, which asks whom it takes for the leader.
func (t *tenant) renew(p *process, id int64) {
	w, asked, ttl := t.w, t.w.now, t.ttl
	revoked := w.truth.keys.revoked[id]
	leader, _ := p.m.Leader()
	i := slices.IndexFunc(w.running(), func(q *process) bool { return q.self.NodeID == leader && q.m != nil })
	if i < 0 {
		return
	}
	far := w.running()[i]
	between := func() bool {
		return w.net.passes(p.node.host, far.node.host) && w.net.passes(far.node.host, p.node.host)
	}
	if far.tending == nil || far != p && !between() {
		return
	}
	w.schedule(w.net.transit(), "renewal", far, func() {
		far.tending.renew(id, func(r lessor.Renewal) {
			if far != p && (!between() || p.dead) {
				return
			}
			switch r.Verdict {
			case lessor.Found:
				if revoked {
					if !w.truth.deposed(far.view.Status.Term) {
						w.fail("%s renews lease %x, whose client was told that it is revoked", far, id)
					}
					return
				}
				w.sometimes(leaseRenewed)
				w.truth.keys.promised(id, asked, ttl)
				if w.deposed() == far && t.lease == id {
					t.cares, t.clings = false, true
				}
			case lessor.Unknown:
				if w.truth.keys.now.TTL(id) != 0 {
					w.fail("%s says that there is no lease %x, but there is", far, id)
				}
				if t.lease == id {
					t.cares = false
				}
			}
		})
	})
}

// deposed is a member that believes to lead, and doesn't any more; or nil.
func (w *World) deposed() *process {
	for _, p := range w.running() {
		if p.alive() && !p.node.paused() && p.leads() && w.truth.deposed(p.view.Status.Term) {
			return p
		}
	}
	return nil
}

// leasesLeft says that leases are there which nobody renews any more.
func (w *World) leasesLeft() string {
	if !w.plan.keyspace {
		return ""
	}
	if ids := w.truth.keys.now.Leases(); len(ids) > 0 {
		return fmt.Sprintf("nobody renews the leases %x, and they don't end", ids)
	}
	return ""
}
