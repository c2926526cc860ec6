package differential

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// incidental are fields of which two members of the same system would say
// different things: they are not compared.
var incidental = map[protoreflect.Name]bool{
	"cluster_id": true, "member_id": true, "raft_term": true,
}

// passed is more seconds than pass while a program is played; no lease of a
// program lives for as few.
const passed = 100

// normal is an answer without what is incidental, its revisions counted from
// base.
func (s *session) normal(step Step, a Answer) Answer {
	if len(a.Messages) > 0 && step.Method == "KV/RangeStream" {
		a.Messages = []proto.Message{joined(a.Messages)}
	}
	out := Answer{}
	if a.Err != nil {
		st := status.Convert(a.Err)
		out.Err = fmt.Errorf("%s: %s", st.Code(), st.Message())
	}
	for _, m := range a.Messages {
		m = shift(m, -s.base)
		visit(m.ProtoReflect(), func(m protoreflect.Message, f protoreflect.FieldDescriptor) {
			if incidental[f.Name()] {
				m.Clear(f)
			}
		})
		s.symbolic(m.ProtoReflect())
		switch r := m.(type) {
		case *pb.LeaseTimeToLiveResponse:
			normalLease(r)
		case *pb.StatusResponse:
			normalStatus(r)
		case *pb.HashResponse:
			r.Hash = set(r.Hash) // of the file, in etcd
		case *pb.MemberListResponse:
			normalMembers(r.Members)
		case *pb.MemberAddResponse:
			normalMembers([]*pb.Member{r.Member})
			normalMembers(r.Members)
		case *pb.MemberUpdateResponse:
			normalMembers(r.Members)
		case *pb.MemberRemoveResponse:
			normalMembers(r.Members)
		case *pb.MemberPromoteResponse:
			normalMembers(r.Members)
		}
		out.Messages = append(out.Messages, m)
	}
	return out
}

// joined is a RangeStream's response in one: how it is cut is each server's
// own business.
func joined(parts []proto.Message) proto.Message {
	whole := &pb.RangeResponse{}
	for _, p := range parts {
		r := p.(*pb.RangeStreamResponse).GetRangeResponse()
		whole.Kvs = append(whole.Kvs, r.GetKvs()...)
		if r.GetHeader() != nil {
			whole.Header = r.GetHeader()
		}
		whole.More, whole.Count = r.GetMore(), r.GetCount()
	}
	return &pb.RangeStreamResponse{RangeResponse: whole}
}

// normalLease forgets that time passed, and the order of the keys, which is
// none: etcd keeps them in a map.
func normalLease(r *pb.LeaseTimeToLiveResponse) {
	if r.TTL > 0 && r.GrantedTTL-r.TTL < passed {
		r.TTL = r.GrantedTTL
	}
	slices.SortFunc(r.Keys, bytes.Compare)
}

var alarmOf = regexp.MustCompile(`memberID:\d+ +`)

// normalStatus keeps of sizes and indexes that there are some. The errors hold
// the member's ID as text.
func normalStatus(r *pb.StatusResponse) {
	for i, e := range r.Errors {
		r.Errors[i] = alarmOf.ReplaceAllString(e, "memberID:1 ")
	}
	r.DbSize, r.DbSizeInUse = set(r.DbSize), set(r.DbSizeInUse)
	r.RaftIndex, r.RaftAppliedIndex, r.RaftTerm = set(r.RaftIndex), set(r.RaftAppliedIndex), set(r.RaftTerm)
}

func set[N int64 | uint64 | uint32](n N) N { return min(max(n, 0), 1) }

var port = regexp.MustCompile(`:[0-9]{5}$`)

// normalMembers sorts them as they came: their IDs are drawn.
func normalMembers(ms []*pb.Member) {
	slices.SortFunc(ms, func(a, b *pb.Member) int { return cmp.Compare(a.ID, b.ID) })
	for _, m := range ms {
		for _, urls := range [][]string{m.PeerURLs, m.ClientURLs} {
			for i, u := range urls {
				urls[i] = port.ReplaceAllString(u, ":port")
			}
		}
	}
}
