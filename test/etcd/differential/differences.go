package differential

import (
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// Difference is something in which muster's answers differ from etcd's on
// purpose. docs/etcd-compatibility.md lists the same, with the same words.
type Difference struct {
	Name   string
	Reason string
	// Is tells whether two answers to a step, which are not equal, differ in
	// this alone.
	Is func(step Step, etcd, muster Answer) bool
}

// Differences are all that are allowed.
var Differences = []Difference{
	{
		Name:   "Delete from a key on, and put what was there",
		Reason: "A Txn that deletes everything from a key on (range_end \"\\0\") and puts a key of that span with ignore_value or ignore_lease stops etcd 3.7 with a panic, and again at each start; muster answers \"key not found\", and nothing of it happens. The tests don't send it to etcd.",
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
		Reason: "Maintenance.HashKV and Hash are equal on all members of a muster cluster that hold the same, as in etcd, but they are not the numbers that etcd would give: the layout on disk is another. A HashKV as of a negative revision is the hash of now; etcd gives one of nothing.",
		Is: func(step Step, etcd, muster Answer) bool {
			if len(etcd.Messages) != 1 || len(muster.Messages) != 1 {
				return false
			}
			want, ok1 := etcd.Messages[0].(*pb.HashKVResponse)
			got, ok2 := muster.Messages[0].(*pb.HashKVResponse)
			if !ok1 || !ok2 {
				return false
			}
			want, got = proto.CloneOf(want), proto.CloneOf(got)
			want.Hash, got.Hash = set(want.Hash), set(got.Hash)
			if step.Req.(*pb.HashKVRequest).Revision < 0 {
				want.HashRevision = got.HashRevision
			}
			return proto.Equal(want, got)
		},
	},
	{
		Name:   "Status",
		Reason: "The version that Maintenance.Status tells is etcd's whose behaviour is meant, with muster's own behind it; without a quota the quota is 0, where etcd has one of 2 GiB by default.",
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

func allowed(step Step, want, got Answer) bool {
	for _, d := range Differences {
		if d.Is != nil && d.Is(step, want, got) {
			return true
		}
	}
	return false
}
