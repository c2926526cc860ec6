package differential

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// What a server draws is named in the order in which it came up: a program
// says chosenLease-0 for the first lease whose ID the server chose, and the
// member's own ID is selfID; those of further members follow it.
const (
	chosenLease = -1000
	selfID      = 1
	knownRev    = -77 // of a leader's key: what its campaign was answered
	addedID     = 100 // the first member that was added; the next is one more
)

// newURL stands for a peer URL that no member had before: etcd makes a member's
// ID of its URLs and the second, and takes no ID twice.
const newURL = "http://127.0.0.2:port"

// urlsGiven counts the new URLs; all have five digits, as normalMembers wants.
var urlsGiven atomic.Uint32

// learn takes from an answer what later steps refer to.
func (s *session) learn(req proto.Message, answer []proto.Message) {
	if len(answer) == 0 {
		return
	}
	switch r := answer[0].(type) {
	case *pb.AuthenticateResponse:
		s.tokens[req.(*pb.AuthenticateRequest).Name] = r.Token
	case *pb.LeaseGrantResponse:
		if req.(*pb.LeaseGrantRequest).ID == 0 {
			s.leases = append(s.leases, r.ID)
		}
	case *pb.MemberAddResponse:
		s.added = append(s.added, r.Member.ID)
	case *v3lockpb.LockResponse:
		s.learnDrawn(leaseOfKey(r.Key))
	case *v3electionpb.CampaignResponse:
		s.learnDrawn(r.GetLeader().GetLease())
		s.offices[string(r.GetLeader().GetKey())] = r.GetLeader().GetRev()
	case *pb.LeaseLeasesResponse:
		for _, l := range r.Leases {
			s.learnDrawn(l.ID)
		}
	}
}

// drawn are the IDs that a server draws; no program names one as large.
const drawn = 1 << 40

// learnDrawn learns of a lease that was granted on the way to something else, at
// the latest when it is seen.
func (s *session) learnDrawn(id int64) {
	if id >= drawn && !slices.Contains(s.leases, id) {
		s.leases = append(s.leases, id)
	}
}

// leaseOfKey is the lease in the name of a key that a lock or a campaign made;
// 0 if there is none.
func leaseOfKey(key []byte) int64 {
	id, err := strconv.ParseInt(string(key[bytes.LastIndexByte(key, '/')+1:]), 16, 64)
	if err != nil {
		return 0
	}
	return id
}

// keyOf is a key with a drawn lease in its name as an answer has it.
func (s *session) keyOf(key []byte) []byte {
	if i := slices.Index(s.leases, leaseOfKey(key)); i >= 0 && leaseOfKey(key) >= drawn {
		return fmt.Appendf(nil, "%s/lease-%d", key[:bytes.LastIndexByte(key, '/')], i)
	}
	return key
}

// isLease tells the fields that hold a lease's ID.
func isLease(f protoreflect.FieldDescriptor) bool {
	switch f.FullName() {
	case "mvccpb.KeyValue.lease", "etcdserverpb.PutRequest.lease", "etcdserverpb.Compare.lease",
		"etcdserverpb.LeaseGrantRequest.ID", "etcdserverpb.LeaseGrantResponse.ID",
		"etcdserverpb.LeaseRevokeRequest.ID", "etcdserverpb.LeaseKeepAliveRequest.ID", "etcdserverpb.LeaseKeepAliveResponse.ID",
		"v3electionpb.LeaderKey.lease", "v3lockpb.LockRequest.lease", "v3electionpb.CampaignRequest.lease",
		"etcdserverpb.LeaseTimeToLiveRequest.ID", "etcdserverpb.LeaseTimeToLiveResponse.ID", "etcdserverpb.LeaseStatus.ID":
		return true
	}
	return false
}

// isMember tells the fields that hold a member's ID.
func isMember(f protoreflect.FieldDescriptor) bool {
	switch f.FullName() {
	case "etcdserverpb.Member.ID", "etcdserverpb.StatusResponse.leader",
		"etcdserverpb.MemberRemoveRequest.ID", "etcdserverpb.MemberUpdateRequest.ID", "etcdserverpb.MemberPromoteRequest.ID",
		"etcdserverpb.MoveLeaderRequest.targetID", "etcdserverpb.AlarmRequest.memberID", "etcdserverpb.AlarmMember.memberID":
		return true
	}
	return false
}

// actual is a request as the server gets it.
func (s *session) actual(req proto.Message) proto.Message {
	out := shift(req, s.base)
	if r, ok := out.(*pb.MemberAddRequest); ok && slices.Contains(r.PeerURLs, newURL) {
		r.PeerURLs = []string{fmt.Sprintf("http://127.0.0.2:%d", 10_000+urlsGiven.Add(1)%50_000)}
	}
	visit(out.ProtoReflect(), func(m protoreflect.Message, f protoreflect.FieldDescriptor) {
		switch {
		case f.FullName() == "v3electionpb.LeaderKey.rev" && m.Get(f).Int() == knownRev:
			key := m.Get(m.Descriptor().Fields().ByName("key")).Bytes()
			m.Set(f, protoreflect.ValueOfInt64(s.offices[string(key)]))
		case isLease(f):
			if i := chosenLease - m.Get(f).Int(); i >= 0 && i < int64(len(s.leases)) {
				m.Set(f, protoreflect.ValueOfInt64(s.leases[i]))
			}
		case isMember(f):
			id := m.Get(f).Uint()
			if i := id - selfID; i < uint64(len(s.selves)) {
				m.Set(f, protoreflect.ValueOfUint64(s.selves[i]))
			} else if i := id - addedID; id >= addedID && i < uint64(len(s.added)) {
				m.Set(f, protoreflect.ValueOfUint64(s.added[i]))
			}
		}
	})
	return out
}

// symbolic undoes actual in an answer.
func (s *session) symbolic(m protoreflect.Message) {
	visit(m, func(m protoreflect.Message, f protoreflect.FieldDescriptor) {
		switch {
		case isLease(f):
			s.learnDrawn(m.Get(f).Int())
			if i := slices.Index(s.leases, m.Get(f).Int()); i >= 0 {
				m.Set(f, protoreflect.ValueOfInt64(chosenLease-int64(i)))
			}
		case isMember(f):
			if i := slices.Index(s.selves, m.Get(f).Uint()); i >= 0 {
				m.Set(f, protoreflect.ValueOfUint64(selfID+uint64(i)))
			} else if i := slices.Index(s.added, m.Get(f).Uint()); i >= 0 {
				m.Set(f, protoreflect.ValueOfUint64(addedID+uint64(i)))
			}
		case f.Kind() == protoreflect.BytesKind && f.Name() == "key":
			m.Set(f, protoreflect.ValueOfBytes(s.keyOf(m.Get(f).Bytes())))
		case f.FullName() == "etcdserverpb.AuthenticateResponse.token":
			m.Set(f, protoreflect.ValueOfString("token"))
		}
	})
}
