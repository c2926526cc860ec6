package history

import (
	"cmp"
	"fmt"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// path is which branches of a transaction and of those in it are taken. All
// compares are made before anything is carried out.
type path map[*pb.TxnRequest]bool

func (w *writing) txn(t *pb.TxnRequest) (string, error) {
	p := path{}
	w.choose(t, p)
	if err := w.refuses(t, p); err != nil {
		return "", err
	}
	return w.branch(t, p)
}

func (p path) ops(t *pb.TxnRequest) []*pb.RequestOp {
	if p[t] {
		return t.GetSuccess()
	}
	return t.GetFailure()
}

func (w *writing) choose(t *pb.TxnRequest, p path) {
	p[t] = true
	for _, c := range t.GetCompare() {
		p[t] = p[t] && w.holds(c)
	}
	for _, op := range p.ops(t) {
		if in := op.GetRequestTxn(); in != nil {
			w.choose(in, p)
		}
	}
}

// holds makes one compare. A key that isn't there has version 0, and no value.
func (w *writing) holds(c *pb.Compare) bool {
	kvs := within(w.keys, c.GetKey(), c.GetRangeEnd())
	if len(kvs) == 0 {
		if c.GetTarget() == pb.Compare_VALUE {
			return false
		}
		kvs = []KeyValue{{}}
	}
	for _, kv := range kvs {
		var x int
		switch c.GetTarget() {
		case pb.Compare_VERSION:
			x = cmp.Compare(kv.Version, c.GetVersion())
		case pb.Compare_CREATE:
			x = cmp.Compare(kv.Create, c.GetCreateRevision())
		case pb.Compare_MOD:
			x = cmp.Compare(kv.Mod, c.GetModRevision())
		case pb.Compare_LEASE:
			x = cmp.Compare(kv.Lease, c.GetLease())
		case pb.Compare_VALUE:
			x = strings.Compare(kv.Value, string(c.GetValue()))
		}
		ok := false
		switch c.GetResult() {
		case pb.Compare_EQUAL:
			ok = x == 0
		case pb.Compare_NOT_EQUAL:
			ok = x != 0
		case pb.Compare_GREATER:
			ok = x > 0
		case pb.Compare_LESS:
			ok = x < 0
		}
		if !ok {
			return false
		}
	}
	return true
}

// refuses says why the branches that are taken can't be carried out.
func (w *writing) refuses(t *pb.TxnRequest, p path) error {
	for _, op := range p.ops(t) {
		switch o := op.GetRequest().(type) {
		case *pb.RequestOp_RequestRange:
			switch rev := o.RequestRange.GetRevision(); {
			case rev > w.s.Rev:
				return rpctypes.ErrGRPCFutureRev
			case rev > 0 && rev < w.s.Compacted:
				return rpctypes.ErrGRPCCompacted
			}
		case *pb.RequestOp_RequestPut:
			if l := o.RequestPut.GetLease(); l != 0 && w.s.leases[l] == 0 {
				return rpctypes.ErrGRPCLeaseNotFound
			}
		case *pb.RequestOp_RequestTxn:
			if err := w.refuses(o.RequestTxn, p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writing) branch(t *pb.TxnRequest, p path) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "succeeded %v", p[t])
	for _, op := range p.ops(t) {
		var text string
		var err error
		switch o := op.GetRequest().(type) {
		case *pb.RequestOp_RequestRange:
			text, err = w.read(o.RequestRange)
		case *pb.RequestOp_RequestPut:
			text, err = w.put(o.RequestPut)
		case *pb.RequestOp_RequestDeleteRange:
			text = w.remove(o.RequestDeleteRange)
		case *pb.RequestOp_RequestTxn:
			text, err = w.branch(o.RequestTxn, p)
		}
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, " (%s)", text)
	}
	return b.String(), nil
}
