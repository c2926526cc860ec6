package differential

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// incidental are fields of which two members of the same system would say
// different things: it is compared whether they are there.
var incidental = map[protoreflect.Name]bool{
	"cluster_id": true, "member_id": true, "raft_term": true,
}

// normalLeases forgets the order of leases, which is that of their ends, where it
// is chance: a restart gives all of them their whole time again, and at a follower
// of etcd none has an end.
func (s *session) normalLeases(r *pb.LeaseLeasesResponse) {
	if s.again || len(s.selves) > 1 {
		slices.SortFunc(r.Leases, func(a, b *pb.LeaseStatus) int { return cmp.Compare(a.ID, b.ID) })
	}
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
	if len(a.Messages) > 0 && step.Method == "Maintenance/Snapshot" {
		a.Messages = []proto.Message{snapshotOf(a.Messages)}
	}
	out := Answer{Meta: a.Meta}
	if a.Err != nil {
		st := status.Convert(a.Err)
		// protobuf-go writes its errors with one kind of blank or another, so that
		// nobody relies on them.
		out.Err = fmt.Errorf("%s: %s", st.Code(), strings.ReplaceAll(st.Message(), "\u00a0", " "))
		if d := st.Proto().GetDetails(); len(d) > 0 {
			out.Err = fmt.Errorf("%w %v", out.Err, d)
		}
	}
	for _, m := range a.Messages {
		m = shift(m, -s.base)
		visit(m.ProtoReflect(), func(m protoreflect.Message, f protoreflect.FieldDescriptor) {
			if incidental[f.Name()] {
				m.Set(f, protoreflect.ValueOfUint64(1))
			}
		})
		members := membersOf(m)
		if !slices.IsSortedFunc(members, byID) {
			out.Meta += " (members not in the order of their IDs)"
		}
		s.symbolic(m.ProtoReflect())
		normalMembers(members)
		switch r := m.(type) {
		case *pb.LeaseTimeToLiveResponse:
			for i, key := range r.Keys {
				r.Keys[i] = s.keyOf(key)
			}
			normalLease(r)
		case *pb.LeaseLeasesResponse:
			s.normalLeases(r)
		case *pb.AlarmResponse:
			normalAlarms(r.Alarms)
		case *pb.StatusResponse:
			normalStatus(r)
			if len(s.selves) > 1 {
				r.Leader = set(r.Leader)
			}
		case *pb.HashResponse:
			r.Hash = set(r.Hash) // of the file, in etcd
		case *pb.MemberAddResponse:
			normalMembers([]*pb.Member{r.Member})
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

// snapshotOf keeps of a snapshot that there is one, all of it, and its version:
// the format is each server's own.
func snapshotOf(parts []proto.Message) proto.Message {
	first, last := parts[0].(*pb.SnapshotResponse), parts[len(parts)-1].(*pb.SnapshotResponse)
	whole := &pb.SnapshotResponse{Header: first.Header, Version: first.Version, RemainingBytes: last.RemainingBytes}
	for _, p := range parts {
		if len(p.(*pb.SnapshotResponse).Blob) > 0 {
			whole.Blob = []byte("some")
		}
	}
	return whole
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
	slices.Sort(r.Errors)
	for i, e := range r.Errors {
		r.Errors[i] = alarmOf.ReplaceAllString(e, "memberID:1 ")
	}
	r.DbSize, r.DbSizeInUse = set(r.DbSize), set(r.DbSizeInUse)
	r.RaftIndex, r.RaftAppliedIndex, r.RaftTerm = set(r.RaftIndex), set(r.RaftAppliedIndex), set(r.RaftTerm)
}

// normalAlarms sorts them: etcd keeps them in a map.
func normalAlarms(as []*pb.AlarmMember) {
	slices.SortFunc(as, func(a, b *pb.AlarmMember) int {
		return cmp.Or(cmp.Compare(a.MemberID, b.MemberID), cmp.Compare(a.Alarm, b.Alarm))
	})
}

func set[N int64 | uint64 | uint32](n N) N { return min(max(n, 0), 1) }

var port = regexp.MustCompile(`:[0-9]{5}$`)

// membersOf is the list of members in an answer; nil where it has none.
func membersOf(m proto.Message) []*pb.Member {
	if r, ok := m.(interface{ GetMembers() []*pb.Member }); ok {
		return r.GetMembers()
	}
	return nil
}

func byID(a, b *pb.Member) int { return cmp.Compare(a.ID, b.ID) }

// normalMembers sorts them as they came: their IDs are drawn.
func normalMembers(ms []*pb.Member) {
	slices.SortFunc(ms, byID)
	for _, m := range ms {
		for _, urls := range [][]string{m.PeerURLs, m.ClientURLs} {
			for i, u := range urls {
				urls[i] = port.ReplaceAllString(u, ":port")
			}
		}
	}
}
