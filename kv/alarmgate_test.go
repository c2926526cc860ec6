package kv

import (
	"errors"
	"slices"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// modelAlarms are those that are raised.
type modelAlarms map[modelAlarm]bool

type modelAlarm struct {
	kind   pb.AlarmType
	member uint64
}

// alarm raises one, or clears one: more often that than the other, lest
// everything be refused.
func (r requests) alarm() *pb.AlarmRequest {
	return &pb.AlarmRequest{
		Action:   pick(r.Rand, pb.AlarmRequest_GET, pb.AlarmRequest_ACTIVATE, pb.AlarmRequest_DEACTIVATE, pb.AlarmRequest_DEACTIVATE, pb.AlarmRequest_DEACTIVATE),
		Alarm:    pick(r.Rand, pb.AlarmType_NOSPACE, pb.AlarmType_NOSPACE, pb.AlarmType_CORRUPT),
		MemberID: 7,
	}
}

func (m *model) alarm(r *pb.AlarmRequest) *pb.AlarmResponse {
	resp := &pb.AlarmResponse{Header: &pb.ResponseHeader{Revision: m.rev}}
	is := modelAlarm{r.Alarm, r.MemberID}
	switch {
	case r.Action == pb.AlarmRequest_ACTIVATE:
		if m.alarms == nil {
			m.alarms = modelAlarms{}
		}
		m.alarms[is] = true
	case !m.alarms[is]:
		return resp
	case r.Action == pb.AlarmRequest_DEACTIVATE:
		delete(m.alarms, is)
	}
	resp.Alarms = []*pb.AlarmMember{{MemberID: r.MemberID, Alarm: r.Alarm}}
	return resp
}

// refuse is what they keep a command from; reads are no commands.
func (a modelAlarms) refuse(req proto.Message) error {
	switch req.(type) {
	case *pb.AlarmRequest, *pb.LeaseCheckpointRequest:
		return nil
	}
	if a[modelAlarm{pb.AlarmType_CORRUPT, 7}] {
		return ErrCorrupt
	}
	if !a[modelAlarm{pb.AlarmType_NOSPACE, 7}] {
		return nil
	}
	if t, ok := req.(*pb.TxnRequest); ok && modelPuts(t) {
		return ErrNoSpace
	}
	switch req.(type) {
	case *pb.PutRequest, *pb.LeaseGrantRequest:
		return ErrNoSpace
	}
	return nil
}

func modelPuts(t *pb.TxnRequest) bool {
	return slices.ContainsFunc(slices.Concat(t.Success, t.Failure), func(op *pb.RequestOp) bool {
		return op.GetRequestPut() != nil || op.GetRequestTxn() != nil && modelPuts(op.GetRequestTxn())
	})
}

// TestAlarmsRefuse: what each alarm keeps from being carried out.
func TestAlarmsRefuse(t *testing.T) {
	d := newDriver(t)
	d.put("a", "1")
	raise := func(kind pb.AlarmType, a pb.AlarmRequest_AlarmAction) {
		t.Helper()
		must(t, d.do(&pb.AlarmRequest{Action: a, MemberID: 9, Alarm: kind}).Err)
	}
	put := &pb.PutRequest{Key: []byte("a")}
	nested := &pb.TxnRequest{Failure: []*pb.RequestOp{txnOp(&pb.TxnRequest{Success: []*pb.RequestOp{putOp("a", "")}})}}
	deletes := &pb.TxnRequest{Success: []*pb.RequestOp{deleteOp("a", "")}}
	expect := func(req proto.Message, want error) {
		t.Helper()
		before, _ := d.Revision()
		got := d.do(req).Err
		if !errors.Is(got, want) {
			t.Errorf("%T %v: %v, want %v", req, req, got, want)
		}
		if after, _ := d.Revision(); want != nil && after != before {
			t.Errorf("%T %v was refused and moved the revision from %d to %d", req, req, before, after)
		}
	}
	raise(pb.AlarmType_NOSPACE, pb.AlarmRequest_ACTIVATE)
	expect(put, ErrNoSpace)
	expect(nested, ErrNoSpace) // whichever branch is taken
	expect(deletes, nil)
	expect(&pb.DeleteRangeRequest{Key: []byte("a")}, nil)
	expect(&pb.CompactionRequest{Revision: 2}, nil)
	raise(pb.AlarmType_CORRUPT, pb.AlarmRequest_ACTIVATE)
	for _, req := range []proto.Message{put, nested, deletes, &pb.DeleteRangeRequest{Key: []byte("a")}, &pb.CompactionRequest{Revision: 3}} {
		expect(req, ErrCorrupt)
	}
	d.expect(all(), "", false, 0) // reads go on
	raise(pb.AlarmType_CORRUPT, pb.AlarmRequest_DEACTIVATE)
	expect(put, ErrNoSpace)
	raise(pb.AlarmType_NOSPACE, pb.AlarmRequest_DEACTIVATE)
	expect(put, nil)

	// The rules for leases, whose commands are not carried out here.
	raise(pb.AlarmType_NOSPACE, pb.AlarmRequest_ACTIVATE)
	if err := d.applier.refusedByAlarm(opLeaseGrant, nil); !errors.Is(err, ErrNoSpace) {
		t.Errorf("a lease: %v, want %v", err, ErrNoSpace)
	}
	if err := d.applier.refusedByAlarm(opLeaseRevoke, nil); err != nil {
		t.Errorf("the end of a lease: %v", err)
	}
	raise(pb.AlarmType_CORRUPT, pb.AlarmRequest_ACTIVATE)
	if err := d.applier.refusedByAlarm(opLeaseRevoke, nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("the end of a lease: %v, want %v", err, ErrCorrupt)
	}
}

func TestCost(t *testing.T) {
	put := &pb.PutRequest{Key: []byte("key"), Value: []byte("value")}
	op := &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put}}
	for _, c := range []struct {
		req  proto.Message
		want int64
	}{
		{put, 264},
		{&pb.LeaseGrantRequest{}, 64},
		{&pb.DeleteRangeRequest{Key: []byte("a")}, 0},
		{&pb.TxnRequest{Success: []*pb.RequestOp{op}, Failure: []*pb.RequestOp{op, op}}, 528},
		{&pb.TxnRequest{Success: []*pb.RequestOp{txnOp(&pb.TxnRequest{Success: []*pb.RequestOp{op}}), deleteOp("a", "")}}, 264},
	} {
		if got := Cost(c.req); got != c.want {
			t.Errorf("%T %v costs %d, want %d", c.req, c.req, got, c.want)
		}
	}
}
