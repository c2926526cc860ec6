package differential

import (
	"testing"

	"google.golang.org/grpc"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/test/etcd/internal/system"
)

// TestDeletedAndPut asks muster alone what etcd 3.7 stops at for good: a
// transaction that deletes everything from a key on, and puts a key of that
// span with the value or the lease that it had. Nothing of it happens.
func TestDeletedAndPut(t *testing.T) {
	conn, err := system.Start(t, system.Muster, 1).Members[0].Dial()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSession([]*grpc.ClientConn{conn})
	if err != nil {
		t.Fatal(err)
	}
	s.play(Step{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("b"), Value: []byte("old")}})
	for _, put := range []*pb.PutRequest{{Key: []byte("b"), IgnoreValue: true}, {Key: []byte("b"), IgnoreLease: true}} {
		got := s.play(Step{Method: "KV/Txn", Req: &pb.TxnRequest{Success: []*pb.RequestOp{
			{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte{0}}}},
			{Request: &pb.RequestOp_RequestPut{RequestPut: put}},
		}}})
		if got.Err == nil || got.Err.Error() != "InvalidArgument: etcdserver: key not found" {
			t.Errorf("%s: got %s", show(put), got)
		}
	}
	got := s.play(Step{Method: "KV/Range", Req: &pb.RangeRequest{Key: []byte("b")}})
	r := got.Messages[0].(*pb.RangeResponse)
	if len(r.Kvs) != 1 || string(r.Kvs[0].Value) != "old" || r.Header.Revision != 1 {
		t.Errorf("after that: got %s", got)
	}
	s.play(deletedAndPut)
	s.play(Step{Method: "KV/Compact", Req: &pb.CompactionRequest{Revision: 2, Physical: true}})
	got = s.play(Step{Method: "KV/Range", Req: &pb.RangeRequest{Key: []byte("b")}})
	r = got.Messages[0].(*pb.RangeResponse)
	if len(r.Kvs) != 1 || string(r.Kvs[0].Value) != "new" || r.Kvs[0].CreateRevision != 2 || r.Kvs[0].Version != 1 {
		t.Errorf("put and compacted: got %s", got)
	}
}

var deletedAndPut = Step{Method: "KV/Txn", Req: &pb.TxnRequest{Success: []*pb.RequestOp{
	{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte("a"), RangeEnd: []byte{0}, PrevKv: true}}},
	{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("b")}}},
	{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("b"), Value: []byte("new"), PrevKv: true}}},
}}}

// TestDeletedThenPut has both put a key that the same transaction deleted, and
// tell of it. No compaction comes after that: see stopsEtcd.
func TestDeletedThenPut(t *testing.T) {
	all := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
		Key: []byte{0}, RangeEnd: []byte{0}, StartRevision: 1, PrevKv: true,
	}}}
	prog := program{steps: []Step{
		{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("b"), Value: []byte("old")}},
		deletedAndPut,
		{Method: "KV/Range", Req: &pb.RangeRequest{Key: []byte("b")}},
		{Method: "KV/Range", Req: &pb.RangeRequest{Key: []byte("b"), Revision: 1}},
		{Method: watchMethod, Req: all},
		{Method: syncMethod},
	}}
	d, err := newPair(t, kindOf(t), 1).play(prog)
	if err != nil {
		t.Fatal(err)
	}
	if d != nil {
		t.Errorf("%s:\n    etcd: %s\n  %s: %s", prog.steps[d.at], d.want, *against, d.got)
	}
}
