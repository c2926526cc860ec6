package history

import (
	"math"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

func request(id int, what proto.Message, answer string, call, back int64) Request {
	return Request{ID: id, Client: id, What: what, Call: call, Return: back, Fate: Happened, Answer: answer}
}

func putOf(value string) proto.Message {
	return &pb.PutRequest{Key: []byte("x"), Value: []byte(value), PrevKv: true}
}

func getAt(rev int64) proto.Message { return &pb.RangeRequest{Key: []byte("x"), Revision: rev} }

// swap puts value if the key is of that mod revision.
func swap(mod int64, value string) proto.Message {
	return &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: []byte("x"), Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{ModRevision: mod}}},
		Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: []byte("x"), Value: []byte(value)}}}},
		Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: []byte("x")}}}},
	}
}

func TestCheckEtcd(t *testing.T) {
	a := request(1, putOf("a"), "@2 put", 1, 2)
	lost := request(9, putOf("lost"), "", 1, math.MaxInt64)
	for _, c := range []struct {
		name string
		rs   []Request
		ok   bool
	}{
		{"nothing", nil, true},
		{"one after the other", []Request{
			a, request(2, putOf("b"), `@3 put before x="a"/2/2/1/0`, 3, 4), request(3, getAt(0), `@3 read 1 more false x="b"/2/3/2/0`, 5, 6),
			request(4, getAt(2), `@3 read 1 more false x="a"/2/2/1/0`, 7, 8), request(5, swap(3, "c"), "@4 succeeded true (put)", 9, 10),
			request(6, swap(3, "d"), `@4 succeeded false (read 1 more false x="c"/2/4/3/0)`, 11, 12),
		}, true},
		{"a revision that two have", []Request{a, request(2, putOf("b"), "@2 put", 1, 5)}, false},
		{"a revision that goes back", []Request{request(1, putOf("a"), "@3 put", 1, 2), request(2, putOf("b"), `@2 put`, 3, 4)}, false},
		{"both swaps win", []Request{a, request(2, swap(2, "b"), "@3 succeeded true (put)", 3, 9), request(3, swap(2, "c"), "@4 succeeded true (put)", 3, 9)}, false},
		{"the past changes", []Request{a, request(2, putOf("b"), `@3 put before x="a"/2/2/1/0`, 3, 4), request(3, getAt(2), `@3 read 1 more false x="b"/2/3/2/0`, 5, 6)}, false},
		{"stale", []Request{a, request(2, getAt(0), "@1 read 0 more false", 3, 4)}, false},
		{"never heard, but it took a revision", []Request{lost, request(2, putOf("b"), `@3 put before x="lost"/2/2/1/0`, 3, 4)}, true},
		{"a lease takes its keys", []Request{
			request(1, &pb.LeaseGrantRequest{ID: 7, TTL: 5}, "@1 lease 7 for 5", 1, 2),
			request(2, &pb.PutRequest{Key: []byte("x"), Lease: 7}, "@2 put", 3, 4),
			request(3, &pb.LeaseRevokeRequest{ID: 7}, "@3 revoked", 5, 6),
			request(4, getAt(0), "@3 read 0 more false", 7, 8),
			request(5, &pb.PutRequest{Key: []byte("x"), Lease: 7}, "refused: etcdserver: requested lease not found", 9, 10),
		}, true},
		{"compacted", []Request{
			a, request(2, putOf("b"), "", 3, 4), request(3, &pb.CompactionRequest{Revision: 3}, "@3 compacted", 5, 6),
			request(4, getAt(2), "refused: etcdserver: mvcc: required revision has been compacted", 7, 8),
		}, true},
		{"unknown", []Request{{ID: 1, What: getAt(0)}}, false},
	} {
		if err := CheckEtcd(c.rs, time.Minute); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		} else if err != nil && c.name == "stale" && !strings.Contains(err.Error(), "#2") {
			t.Errorf("the story leaves out what can't be: %v", err)
		}
	}
}

// TestAnswer: the words of an answer are the same, whoever gives it.
func TestAnswer(t *testing.T) {
	s := NewEtcd()
	s, said := s.Do(putOf("a"))
	if want := Answer(&pb.PutResponse{Header: &pb.ResponseHeader{Revision: 2}}, nil); said != want {
		t.Errorf("%s, want %s", said, want)
	}
	_, said = s.Do(swap(1, "b"))
	in := &pb.ResponseOp{Response: &pb.ResponseOp_ResponseRange{ResponseRange: &pb.RangeResponse{Count: 0}}}
	if want := Answer(&pb.TxnResponse{Header: &pb.ResponseHeader{Revision: 2}, Responses: []*pb.ResponseOp{in}}, nil); said == want {
		t.Errorf("a key that is there and one that isn't: %s", said)
	}
}
