package differential

import (
	"bytes"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Difference is something in which muster's answers differ from etcd's on
// purpose. docs/etcd-compatibility.md lists the same, with the same words.
type Difference struct {
	Name   string
	Reason string
	// Is tells whether two answers to a step, which are not equal, differ in
	// this alone.
	Is func(step Step, etcd, muster Answer) bool
	// Ends says that the two may differ in what they hold from there on, so
	// that the program is over.
	Ends bool
}

// Differences are all that are allowed.
var Differences = []Difference{
	{
		Name:   "Delete from a key on, and put what was there",
		Reason: "A Txn that deletes everything from a key on (range_end \"\\0\") and puts a key of that span with ignore_value or ignore_lease stops etcd 3.7 with a panic, and again at each start; muster answers \"key not found\", and nothing of it happens. One that puts a value is carried out by both, but a compaction of its revision makes etcd lose what was put, and the next read of it stops etcd. The tests don't send it to etcd.",
	},
	{
		Name:   "Unknown alarm actions",
		Reason: "A Maintenance.Alarm request whose action is none of the three that there are stops etcd 3.7 with a panic; muster refuses it. The tests don't send it to etcd.",
	},
	{
		Name:   "Long names",
		Reason: "The name of a user or a role that is longer than 32 KiB stops etcd 3.7 for good, as bbolt takes no such keys; muster takes it. The tests don't send it to etcd.",
	},
	{
		Name:   "Hashes",
		Reason: "Maintenance.HashKV and Hash are equal on all members of a muster cluster that hold the same, as in etcd, but they are not the numbers that etcd would give: the layout on disk is another. A HashKV as of a negative revision is the hash of now; etcd gives one of nothing. As of a revision that was compacted, etcd may answer with what it noted at that compaction, with the compact_revision of before it; muster answers as of now.",
		Is:     differInHash,
	},
	{
		Name:   "Status",
		Reason: "The version that Maintenance.Status tells is etcd's whose behaviour is meant, with muster's own behind it; without a quota the quota is 0, where etcd has one of 2 GiB by default. Without a leader the errors say what the member waits for, too.",
		Is: func(_ Step, etcd, muster Answer) bool {
			if len(etcd.Messages) != 1 || len(muster.Messages) != 1 {
				return false
			}
			want, ok1 := etcd.Messages[0].(*pb.StatusResponse)
			got, ok2 := muster.Messages[0].(*pb.StatusResponse)
			if !ok1 || !ok2 || !strings.HasPrefix(got.Version, want.Version) {
				return false
			}
			want, got = proto.CloneOf(want), proto.CloneOf(got)
			got.Version, got.DbSizeQuota = want.Version, want.DbSizeQuota
			if got.Leader == 0 {
				got.Errors = slices.DeleteFunc(got.Errors, func(e string) bool { return !slices.Contains(want.Errors, e) })
			}
			return proto.Equal(want, got)
		},
	},
	{
		Name:   "Downgrade",
		Reason: "Maintenance.Downgrade to the minor version before is refused as an invalid target: there is no older muster to go back to.",
		Is: func(step Step, etcd, muster Answer) bool {
			return step.Method == "Maintenance/Downgrade" && etcd.Err == nil && muster.Err != nil &&
				muster.Err.Error() == "InvalidArgument: etcdserver: invalid downgrade target version"
		},
	},
	{
		Name:   "Without a leader",
		Reason: "A request that needs a leader, and comes to a member that finds none for as long as a request may take, is answered by etcd as if the client's own time were over (DeadlineExceeded), or with \"etcdserver: request timed out\" or, to change members, \"etcdserver: unhealthy cluster\"; muster answers \"etcdserver: no leader\" (Unavailable), which says that it did not happen. So it does to MoveLeader, where etcd says \"not leader\".",
		Is: func(_ Step, etcd, muster Answer) bool {
			if etcd.Err == nil || muster.Err == nil {
				return false
			}
			code, is := strings.CutSuffix(muster.Err.Error(), ": etcdserver: no leader")
			switch etcd.Err.Error() {
			case "DeadlineExceeded: context deadline exceeded", "Unavailable: etcdserver: request timed out",
				"Unavailable: etcdserver: unhealthy cluster", "FailedPrecondition: etcdserver: not leader":
				return is && code == "Unavailable"
			case "Unknown: etcdserver: request timed out": // by Election, which knows no codes
				return is && code == "Unknown"
			}
			return false
		},
	},
	{
		Name:   "RangeStream with any options",
		Reason: "etcd answers Unimplemented to a RangeStream with a sort order or with limits on revisions, and sorts each message of one by itself if only a sort target is given; muster carries it out as a Range.",
		Is: func(step Step, etcd, _ Answer) bool {
			r, stream := step.Req.(*pb.RangeRequest)
			if !stream || step.Method != "KV/RangeStream" {
				return false
			}
			if etcd.Err != nil {
				return strings.HasPrefix(etcd.Err.Error(), "Unimplemented: RangeStream does not support")
			}
			return r.SortTarget != pb.RangeRequest_KEY
		},
	},
	{
		Name:   "Requests for progress",
		Reason: "etcd drops a WatchProgressRequest when a watch of the stream lags, starts in the future, or ended by compaction and was not cancelled; muster answers it once all watches of the stream have been told everything.",
		Is: func(_ Step, etcd, muster Answer) bool {
			if etcd.Err != nil || muster.Err != nil {
				return false
			}
			want, answeredByEtcd := withoutProgress(etcd.Messages)
			got, answered := withoutProgress(muster.Messages)
			return answeredByEtcd < answered && slices.EqualFunc(want, got, proto.Equal)
		},
	},
	{
		Name:   "Permission for nothing",
		Reason: "A range that ends where it begins, or before, holds no keys. Whether a user may ask for it depends in etcd on the order in which permissions were granted; muster asks for permission for its first key, which is etcd's answer in most cases.",
		Is: func(step Step, etcd, muster Answer) bool {
			return step.Req != nil && namesNothing(step.Req) && denied(etcd) != denied(muster)
		},
		Ends: true,
	},
	{
		Name:   "Requests that can't be decoded",
		Reason: "gRPC itself refuses them, as Internal, before a server sees them, and words it otherwise in the release that muster is built with than in etcd's: \"grpc: failed to unmarshal the received message\" and not \"grpc: error unmarshalling request\".",
		Is: func(_ Step, etcd, muster Answer) bool {
			if etcd.Err == nil || muster.Err == nil {
				return false
			}
			want, ok1 := strings.CutPrefix(etcd.Err.Error(), "Internal: grpc: error unmarshalling request: ")
			got, ok2 := strings.CutPrefix(muster.Err.Error(), "Internal: grpc: failed to unmarshal the received message: ")
			return ok1 && ok2 && want == got && len(muster.Messages) == len(etcd.Messages)
		},
	},
}

func differInHash(step Step, etcd, muster Answer) bool {
	if step.Method != "Maintenance/HashKV" || len(etcd.Messages) != 1 {
		return false
	}
	want, ok := etcd.Messages[0].(*pb.HashKVResponse)
	if !ok {
		return false
	}
	asked := want.HashRevision
	if muster.Err != nil {
		return asked > 0 && muster.Err.Error() == "OutOfRange: etcdserver: mvcc: required revision has been compacted"
	}
	got, ok := muster.Messages[0].(*pb.HashKVResponse)
	if !ok {
		return false
	}
	want, got = proto.CloneOf(want), proto.CloneOf(got)
	want.Hash, got.Hash = set(want.Hash), set(got.Hash)
	if asked < 0 {
		want.HashRevision = got.HashRevision
	}
	if asked == got.CompactRevision {
		want.CompactRevision = got.CompactRevision
	}
	return proto.Equal(want, got)
}

// withoutProgress leaves out answers to requests for progress, and counts them.
func withoutProgress(in []proto.Message) (out []proto.Message, n int) {
	for _, m := range in {
		if r, ok := m.(*pb.WatchResponse); ok && r.WatchId == -1 && !r.Created && !r.Canceled {
			n++
			continue
		}
		out = append(out, m)
	}
	return out, n
}

// namesNothing tells a request that has a range without keys in it.
func namesNothing(req proto.Message) bool {
	found := false
	eachMessage(req.ProtoReflect(), func(m protoreflect.Message) {
		fields := m.Descriptor().Fields()
		key, end := fields.ByName("key"), fields.ByName("range_end")
		if key == nil || end == nil {
			return
		}
		from, to := m.Get(key).Bytes(), m.Get(end).Bytes()
		if len(to) > 0 && !bytes.Equal(to, []byte{0}) && bytes.Compare(from, to) >= 0 {
			found = true
		}
	})
	return found
}

func denied(a Answer) bool { return strings.Contains(a.String(), "permission denied") }

// allowed returns which of the differences it is; nil if none.
func allowed(step Step, want, got Answer) *Difference {
	for i, d := range Differences {
		if d.Is != nil && d.Is(step, want, got) {
			return &Differences[i]
		}
	}
	return nil
}
