package etcdapi

import (
	"bytes"
	"math"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// TestToldIsTheResponse: what watches share of a response, and the ID of one of
// them behind it, are that one's response, also where another one was made before.
func TestToldIsTheResponse(t *testing.T) {
	s := &Server{}
	event := func(value string) *mvccpb.Event {
		return &mvccpb.Event{Kv: &mvccpb.KeyValue{Key: []byte("k"), Value: []byte(value), ModRevision: 7}}
	}
	one, other, large := event("1"), event("2"), event(string(bytes.Repeat([]byte("3"), keptBytes)))
	for _, resp := range []*pb.WatchResponse{
		{Header: &pb.ResponseHeader{ClusterId: 1, MemberId: 2, RaftTerm: 3, Revision: 7}, Events: []*mvccpb.Event{one}},
		{Header: &pb.ResponseHeader{ClusterId: 1, MemberId: 2, RaftTerm: 4, Revision: 7}, Events: []*mvccpb.Event{one}},
		{Header: &pb.ResponseHeader{ClusterId: 1, MemberId: 2, RaftTerm: 4, Revision: 8}, Events: []*mvccpb.Event{one}},
		{Header: &pb.ResponseHeader{ClusterId: 1, MemberId: 9, RaftTerm: 4, Revision: 8}, Events: []*mvccpb.Event{one}},
		{Header: &pb.ResponseHeader{ClusterId: 9, MemberId: 9, RaftTerm: 4, Revision: 8}, Events: []*mvccpb.Event{one}},
		{Header: &pb.ResponseHeader{ClusterId: 9, MemberId: 9, RaftTerm: 4, Revision: 8}, Events: []*mvccpb.Event{one}, Fragment: true},
		{Header: &pb.ResponseHeader{ClusterId: 9, MemberId: 9, RaftTerm: 4, Revision: 8}, Events: []*mvccpb.Event{other}, Fragment: true},
		{Header: &pb.ResponseHeader{ClusterId: 9, MemberId: 9, RaftTerm: 4, Revision: 8}, Events: []*mvccpb.Event{other, one}, Fragment: true},
		{Header: &pb.ResponseHeader{ClusterId: 9, MemberId: 9, RaftTerm: 4, Revision: 8}, Events: []*mvccpb.Event{large}},
	} {
		first, err := s.tellable(resp.Header, resp.Events, resp.Fragment)
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.tellable(proto.CloneOf(resp.Header), append([]*mvccpb.Event(nil), resp.Events...), resp.Fragment)
		if err != nil {
			t.Fatal(err)
		}
		if kept := again == first; kept != (len(resp.Events[0].Kv.Value) < keptBytes) {
			t.Errorf("%v: the encoded response is kept: %v", resp, kept)
		}
		for _, id := range []int64{0, 1, 127, 128, math.MaxInt64, math.MinInt64} {
			c := newCodec()
			data, err := c.Marshal(&encoded{[...]mem.Buffer{again.bytes, watchIDField(id)}})
			if err != nil {
				t.Fatal(err)
			}
			got, want := &pb.WatchResponse{}, proto.CloneOf(resp)
			want.WatchId = id
			if err := c.Unmarshal(data, got); err != nil || !proto.Equal(got, want) {
				t.Errorf("got  %v, %v\nwant %v", got, err, want)
			}
		}
	}
}
