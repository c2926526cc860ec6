package differential

import (
	"fmt"
	"math"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// odd makes some of a program's steps odder than their generator does: any
// field has any value, metadata comes along, the request is damaged on its way.
// Half of the programs are left as they are.
func (g *gen) odd(prog program) program {
	if g.one(2) {
		return prog
	}
	for i := range prog.steps {
		step := &prog.steps[i]
		if step.Req == nil || step.kept || step.Pending != 0 || step.JSON != nil && step.JSON.socket || !g.one(8) {
			continue
		}
		switch n := g.IntN(10); {
		case n < 2:
			step.Meta = g.metadata()
		case n < 3 && step.JSON == nil && mayDamage(*step):
			step.Wire = damages[g.IntN(len(damages))]
		default:
			g.changeFields(step)
			if onlyAsMessage(step.Req) {
				step.JSON = nil
			}
		}
	}
	return prog
}

// metadata is what clients send along, or might.
func (g *gen) metadata() []string {
	return pick(g,
		[]string{"hasleader", "true"},
		[]string{"hasleader", "false"},
		[]string{"client-api-version", "3.7.3"},
		[]string{"token", ""},
		[]string{"token", "."},
		[]string{"token", "nobody"},
		[]string{"token", "nobody.x"},
		[]string{"token", "nobody.1.2"},
		[]string{"token", "Bearer nobody.1"},
		[]string{"authorization", "nobody.1"},
		[]string{"authorization", "Bearer nobody.1"},
		[]string{"authorization", "Basic cm9vdDpyb290"},
		[]string{"token", "nobody.1", "token", "nobody.2"},
	)
}

// changeFields changes a field or two of a request, or of a message in it.
func (g *gen) changeFields(step *Step) {
	for range 10 {
		req := proto.Clone(step.Req)
		for range 1 + g.IntN(2) {
			g.changeField(req.ProtoReflect())
		}
		switch r := req.(type) { // others may hold what it is about, and it would wait
		case *v3lockpb.LockRequest:
			r.Name = fmt.Appendf(nil, "odd%d", g.Uint32())
		case *v3electionpb.CampaignRequest:
			r.Name = fmt.Appendf(nil, "odd%d", g.Uint32())
		}
		if mayChange(step.Method, req) {
			step.Req = req
			return
		}
	}
}

func (g *gen) changeField(m protoreflect.Message) {
	var all []protoreflect.Message
	eachMessage(m, func(m protoreflect.Message) {
		if m.Descriptor().Fields().Len() > 0 {
			all = append(all, m)
		}
	})
	if len(all) == 0 {
		return
	}
	m = all[g.IntN(len(all))]
	fields := m.Descriptor().Fields()
	f := fields.Get(g.IntN(fields.Len()))
	switch {
	case g.one(5):
		m.Clear(f)
	case f.IsMap():
	case f.IsList():
		list := m.Mutable(f).List()
		switch {
		case f.Message() != nil && list.Len() > 0 && g.one(2): // twice
			list.Append(protoreflect.ValueOfMessage(proto.Clone(list.Get(g.IntN(list.Len())).Message().Interface()).ProtoReflect()))
		case f.Message() != nil:
			list.AppendMutable()
		default:
			list.Append(g.scalar(f))
		}
	case f.Message() != nil:
		m.Set(f, m.NewField(f)) // there, and empty
	default:
		m.Set(f, g.scalar(f))
	}
}

// eachMessage calls do for m and every message in it.
func eachMessage(m protoreflect.Message, do func(protoreflect.Message)) {
	do(m)
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil || f.IsMap():
		case f.IsList():
			for i := range v.List().Len() {
				eachMessage(v.List().Get(i).Message(), do)
			}
		default:
			eachMessage(v.Message(), do)
		}
		return true
	})
}

// scalar is a value for a field, mostly at an edge.
func (g *gen) scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(g.one(2))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(pick[protoreflect.EnumNumber](g, 0, 1, 2, 3, 4, 5, -1, 99, math.MaxInt32, math.MinInt32))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(g.number(f))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(pick[uint64](g, 0, 77, 1<<63, math.MaxUint64))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(pick(g, "", "u1", "r1", "root", "u"+notUTF8, notUTF8, "\x00", "a b", "ü"))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(pick(g, nil, []byte{0}, []byte{0, 0}, []byte("a"), []byte("foo"), []byte{0xff, 0xff, 0xff}))
	default:
		return f.Default()
	}
}

func (g *gen) number(f protoreflect.FieldDescriptor) int64 {
	switch {
	case revisionFields[f.Name()] && g.one(2):
		return g.revision()
	case f.FullName() == "etcdserverpb.LeaseGrantRequest.TTL":
		return g.ttl()
	case f.Name() == "watch_id": // the larger ones are ours, see markID
		return pick[int64](g, 0, 1, 2, -1, math.MinInt64, 1<<39)
	default:
		return pick[int64](g, 0, 1, 2, 3, -1, math.MinInt64, math.MaxInt64, 1<<31, 1<<32)
	}
}

// mayChange says whether a changed request can be sent: whether etcd survives
// it, and the program after it can be played.
func mayChange(method string, req proto.Message) bool {
	switch r := req.(type) {
	case *pb.TxnRequest:
		return !stopsEtcd(r)
	case *pb.AlarmRequest:
		return r.Action >= 0 && r.Action <= pb.AlarmRequest_DEACTIVATE
	case *pb.MemberAddRequest, *pb.MemberRemoveRequest, *pb.MemberUpdateRequest:
		return false // there would be two members, of which one is there
	case *pb.AuthenticateRequest:
		return true
	case *pb.AuthUserAddRequest:
		return r.Name != "root"
	case *pb.AuthUserChangePasswordRequest:
		return r.Name != "root"
	case *pb.LeaseGrantRequest:
		return r.TTL > passed
	case *pb.DowngradeRequest:
		return r.Action != pb.DowngradeRequest_ENABLE
	}
	return method != watchMethod || req.(*pb.WatchRequest).GetCreateRequest().GetWatchId() < markID
}

// drawsLease tells the requests on which a server draws a lease's ID.
func drawsLease(req proto.Message) bool {
	switch r := req.(type) {
	case *pb.LeaseGrantRequest:
		return r.ID == 0
	case *v3lockpb.LockRequest:
		return r.Lease == 0
	case *v3electionpb.CampaignRequest:
		return r.Lease == 0
	case *v3electionpb.ProclaimRequest:
		return r.GetLeader().GetLease() == 0
	case *v3electionpb.ResignRequest:
		return r.GetLeader().GetLease() == 0
	}
	return false
}

// onlyAsMessage tells the requests that are not sent as JSON: what is drawn is
// learnt from messages, and differences are allowed by them.
func onlyAsMessage(req proto.Message) bool {
	switch r := req.(type) {
	case *pb.HashKVRequest:
		return r.Revision != 0
	case *pb.DowngradeRequest:
		return r.Version == "3.6.0"
	}
	return drawsLease(req)
}

// mayDamage says whether a request may be damaged: not what a program needs in
// order to go on, and not so that it becomes one that changeFields may not make.
func mayDamage(step Step) bool {
	switch step.Req.(type) {
	case *pb.MemberAddRequest, *pb.MemberUpdateRequest, *pb.AuthUserAddRequest, *pb.AuthUserChangePasswordRequest, *pb.AuthenticateRequest,
		*pb.WatchRequest, *pb.LeaseGrantRequest, *v3lockpb.LockRequest, *v3electionpb.CampaignRequest:
		return false
	}
	return true
}
