package kv

import (
	"bytes"
	"maps"
	"slices"
	"sort"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/protobuf/proto"
)

// model is etcd's KV in the plainest form: a list of versions for each key.
// It shares no code with the store.
type model struct {
	rev, compacted int64
	hist           map[string][]modelVersion // oldest first
	leases         map[int64]Lease
	alarms         modelAlarms
	reading        bool         // the request does not come through the log
	events         []modelEvent // of all keys, in order
}

type modelEvent struct {
	key  string
	kv   *mvccpb.KeyValue // nil: deleted
	main int64
}

type modelVersion struct {
	kv      *mvccpb.KeyValue
	main    int64
	deleted bool
}

func newModel() *model {
	return &model{rev: 1, compacted: -1, hist: map[string][]modelVersion{}, leases: map[int64]Lease{}}
}

func (m *model) clone() *model {
	c := &model{
		rev: m.rev, compacted: m.compacted,
		hist: maps.Clone(m.hist), leases: maps.Clone(m.leases), alarms: maps.Clone(m.alarms),
		events: slices.Clip(m.events),
	}
	for k, v := range c.hist {
		c.hist[k] = slices.Clip(v)
	}
	return c
}

func modelIn(k string, key, end []byte) bool {
	switch {
	case len(end) == 0:
		return k == string(key)
	case string(end) == "\x00":
		return k >= string(key)
	}
	return k >= string(key) && k < string(end)
}

func (m *model) live(key, end []byte, rev int64) []*mvccpb.KeyValue {
	var kvs []*mvccpb.KeyValue
	for k, versions := range m.hist {
		if !modelIn(k, key, end) {
			continue
		}
		for i := len(versions) - 1; i >= 0; i-- {
			if versions[i].main <= rev {
				if !versions[i].deleted {
					kvs = append(kvs, proto.CloneOf(versions[i].kv))
				}
				break
			}
		}
	}
	slices.SortFunc(kvs, func(a, b *mvccpb.KeyValue) int { return bytes.Compare(a.Key, b.Key) })
	return kvs
}

// modelTxn is one write command under way.
type modelTxn struct {
	m       *model
	changes int
}

func (t *modelTxn) now() int64 {
	if t.changes > 0 {
		return t.m.rev + 1
	}
	return t.m.rev
}

func (t *modelTxn) one(key []byte) *mvccpb.KeyValue {
	if kvs := t.m.live(key, nil, t.now()); len(kvs) == 1 {
		return kvs[0]
	}
	return nil
}

func (t *modelTxn) put(r *pb.PutRequest) (*pb.PutResponse, error) {
	if _, ok := t.m.leases[r.Lease]; r.Lease != 0 && !ok {
		return nil, ErrLeaseNotFound
	}
	prev := t.one(r.Key)
	if prev == nil && (r.IgnoreLease || r.IgnoreValue) {
		return nil, ErrKeyNotFound
	}
	main := t.m.rev + 1
	kv := &mvccpb.KeyValue{Key: r.Key, Value: r.Value, Lease: r.Lease, CreateRevision: main, ModRevision: main, Version: 1}
	if prev != nil {
		kv.CreateRevision, kv.Version = prev.CreateRevision, prev.Version+1
		if r.IgnoreValue {
			kv.Value = prev.Value
		}
		if r.IgnoreLease {
			kv.Lease = prev.Lease
		}
	}
	t.m.hist[string(r.Key)] = append(t.m.hist[string(r.Key)], modelVersion{kv: kv, main: main})
	t.m.events = append(t.m.events, modelEvent{key: string(r.Key), kv: kv, main: main})
	t.changes++
	resp := &pb.PutResponse{Header: &pb.ResponseHeader{Revision: main}}
	if r.PrevKv {
		resp.PrevKv = prev
	}
	return resp, nil
}

func (t *modelTxn) delete(r *pb.DeleteRangeRequest) *pb.DeleteRangeResponse {
	kvs := t.m.live(r.Key, r.RangeEnd, t.now())
	for _, kv := range kvs {
		k := string(kv.Key)
		t.m.hist[k] = append(t.m.hist[k], modelVersion{main: t.m.rev + 1, deleted: true})
		t.m.events = append(t.m.events, modelEvent{key: k, main: t.m.rev + 1})
		t.changes++
	}
	resp := &pb.DeleteRangeResponse{Header: &pb.ResponseHeader{Revision: t.now()}, Deleted: int64(len(kvs))}
	if r.PrevKv {
		resp.PrevKvs = kvs
	}
	return resp
}

func (t *modelTxn) rangeKeys(r *pb.RangeRequest) (*pb.RangeResponse, error) {
	rev := r.Revision
	if rev > t.now() {
		return nil, ErrFutureRev
	}
	if rev <= 0 {
		rev = t.now()
	}
	if rev < t.m.compacted {
		return nil, ErrCompacted
	}
	all := t.m.live(r.Key, r.RangeEnd, rev)
	resp := &pb.RangeResponse{Header: &pb.ResponseHeader{Revision: t.now()}, Count: int64(len(all))}
	if r.CountOnly {
		return resp, nil
	}
	resp.Kvs, resp.More = modelSelect(all, r)
	return resp, nil
}

func modelSelect(kvs []*mvccpb.KeyValue, r *pb.RangeRequest) (out []*mvccpb.KeyValue, more bool) {
	filtered := r.MinModRevision|r.MaxModRevision|r.MinCreateRevision|r.MaxCreateRevision != 0
	sorted := r.SortOrder != pb.RangeRequest_NONE && (r.SortTarget != pb.RangeRequest_KEY || r.SortOrder != pb.RangeRequest_ASCEND)
	if r.Limit > 0 && !filtered && !sorted && int64(len(kvs)) > r.Limit {
		kvs = kvs[:r.Limit+1]
	}
	kvs = slices.DeleteFunc(kvs, func(kv *mvccpb.KeyValue) bool {
		return r.MaxModRevision != 0 && kv.ModRevision > r.MaxModRevision ||
			r.MinModRevision != 0 && kv.ModRevision < r.MinModRevision ||
			r.MaxCreateRevision != 0 && kv.CreateRevision > r.MaxCreateRevision ||
			r.MinCreateRevision != 0 && kv.CreateRevision < r.MinCreateRevision
	})
	if sorted || r.SortTarget != pb.RangeRequest_KEY {
		var by sort.Interface = modelSort{kvs, r.SortTarget}
		if r.SortOrder == pb.RangeRequest_DESCEND {
			by = sort.Reverse(by)
		}
		sort.Sort(by)
	}
	if r.Limit > 0 && int64(len(kvs)) > r.Limit {
		kvs, more = kvs[:r.Limit], true
	}
	for _, kv := range kvs {
		if r.KeysOnly {
			kv.Value = nil
			if r.SortTarget != pb.RangeRequest_VALUE {
				kv.Lease = 0 // etcd 3.7 answers from its index, which has none
			}
		}
	}
	return kvs, more
}

type modelSort struct {
	kvs    []*mvccpb.KeyValue
	target pb.RangeRequest_SortTarget
}

func (s modelSort) Len() int      { return len(s.kvs) }
func (s modelSort) Swap(i, j int) { s.kvs[i], s.kvs[j] = s.kvs[j], s.kvs[i] }
func (s modelSort) Less(i, j int) bool {
	a, b := s.kvs[i], s.kvs[j]
	switch s.target {
	case pb.RangeRequest_VERSION:
		return a.Version < b.Version
	case pb.RangeRequest_CREATE:
		return a.CreateRevision < b.CreateRevision
	case pb.RangeRequest_MOD:
		return a.ModRevision < b.ModRevision
	case pb.RangeRequest_VALUE:
		return string(a.Value) < string(b.Value)
	}
	return string(a.Key) < string(b.Key)
}

func (m *model) holds(c *pb.Compare) bool {
	kvs := m.live(c.Key, c.RangeEnd, m.rev)
	if len(kvs) == 0 {
		if c.Target == pb.Compare_VALUE {
			return false
		}
		kvs = []*mvccpb.KeyValue{{}}
	}
	for _, kv := range kvs {
		var o int64
		switch c.Target {
		case pb.Compare_VERSION:
			o = kv.Version - c.GetVersion()
		case pb.Compare_CREATE:
			o = kv.CreateRevision - c.GetCreateRevision()
		case pb.Compare_MOD:
			o = kv.ModRevision - c.GetModRevision()
		case pb.Compare_LEASE:
			o = kv.Lease - c.GetLease()
		case pb.Compare_VALUE:
			o = int64(bytes.Compare(kv.Value, c.GetValue()))
		}
		ok := map[pb.Compare_CompareResult]bool{
			pb.Compare_EQUAL: o == 0, pb.Compare_NOT_EQUAL: o != 0,
			pb.Compare_GREATER: o > 0, pb.Compare_LESS: o < 0,
		}[c.Result]
		if !ok {
			return false
		}
	}
	return true
}

// modelPath is which branches are taken, by transaction.
type modelPath map[*pb.TxnRequest]bool

func (m *model) choose(t *pb.TxnRequest, p modelPath) {
	p[t] = !slices.ContainsFunc(t.Compare, func(c *pb.Compare) bool { return !m.holds(c) })
	for _, op := range p.ops(t) {
		if n := op.GetRequestTxn(); n != nil {
			m.choose(n, p)
		}
	}
}

func (p modelPath) ops(t *pb.TxnRequest) []*pb.RequestOp {
	if p[t] {
		return t.Success
	}
	return t.Failure
}

func (m *model) refuses(t *pb.TxnRequest, p modelPath) error {
	for _, op := range p.ops(t) {
		if r := op.GetRequestRange(); r != nil && r.Revision != 0 {
			if r.Revision > m.rev {
				return ErrFutureRev
			}
			if r.Revision < m.compacted {
				return ErrCompacted
			}
		}
		if r := op.GetRequestPut(); r.GetLease() != 0 {
			if _, ok := m.leases[r.GetLease()]; !ok {
				return ErrLeaseNotFound
			}
		}
		if r := op.GetRequestPut(); r != nil && (r.IgnoreLease || r.IgnoreValue) && len(m.live(r.Key, nil, m.rev)) == 0 {
			return ErrKeyNotFound
		}
		if n := op.GetRequestTxn(); n != nil {
			if err := m.refuses(n, p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *modelTxn) execute(r *pb.TxnRequest, p modelPath) (*pb.TxnResponse, error) {
	resp := &pb.TxnResponse{Header: &pb.ResponseHeader{}, Succeeded: p[r]}
	for _, op := range p.ops(r) {
		out := &pb.ResponseOp{}
		switch o := op.Request.(type) {
		case *pb.RequestOp_RequestRange:
			r, err := t.rangeKeys(o.RequestRange)
			if err != nil {
				return nil, err
			}
			out.Response = &pb.ResponseOp_ResponseRange{ResponseRange: r}
		case *pb.RequestOp_RequestPut:
			r, err := t.put(o.RequestPut)
			if err != nil {
				return nil, err
			}
			out.Response = &pb.ResponseOp_ResponsePut{ResponsePut: r}
		case *pb.RequestOp_RequestDeleteRange:
			out.Response = &pb.ResponseOp_ResponseDeleteRange{ResponseDeleteRange: t.delete(o.RequestDeleteRange)}
		case *pb.RequestOp_RequestTxn:
			r, err := t.execute(o.RequestTxn, p)
			if err != nil {
				return nil, err
			}
			out.Response = &pb.ResponseOp_ResponseTxn{ResponseTxn: r}
		}
		resp.Responses = append(resp.Responses, out)
	}
	return resp, nil
}

// apply carries out any request. A refused one leaves the model as it was.
func (m *model) apply(req proto.Message) Reply {
	before := m.clone()
	t := &modelTxn{m: m}
	resp, err := t.apply(req)
	if err != nil {
		*m = *before
		return Reply{Err: err}
	}
	if t.changes > 0 {
		m.rev++
	}
	return Reply{Response: resp}
}

func (t *modelTxn) apply(req proto.Message) (proto.Message, error) {
	if err := t.m.alarms.refuse(req); err != nil && !t.m.reading {
		return nil, err
	}
	switch r := req.(type) {
	case *pb.AlarmRequest:
		return t.m.alarm(r), nil
	case *pb.PutRequest:
		return t.put(r)
	case *pb.DeleteRangeRequest:
		return t.delete(r), nil
	case *pb.RangeRequest:
		return t.rangeKeys(r)
	case *pb.LeaseGrantRequest, *pb.LeaseRevokeRequest, *pb.LeaseCheckpointRequest:
		return t.lease(r)
	case *pb.CompactionRequest:
		if r.Revision <= t.m.compacted {
			return nil, ErrCompacted
		}
		if r.Revision > t.m.rev {
			return nil, ErrFutureRev
		}
		t.m.compacted = r.Revision
		return &pb.CompactionResponse{Header: &pb.ResponseHeader{Revision: t.m.rev}}, nil
	}
	r := req.(*pb.TxnRequest)
	p := modelPath{}
	t.m.choose(r, p)
	if err := t.m.refuses(r, p); err != nil {
		return nil, err
	}
	resp, err := t.execute(r, p)
	if err == nil {
		resp.Header.Revision = t.now()
	}
	return resp, err
}
