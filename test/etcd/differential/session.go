package differential

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	// The services beside etcdserverpb, to be found by describe.
	_ "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	_ "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
)

// callTimeout is what one call may take; it is no limit that a healthy server
// comes near.
const callTimeout = 20 * time.Second

// session is a program's view of one system. One caller at a time.
type session struct {
	conns     []*grpc.ClientConn // to each member
	conn      *grpc.ClientConn   // to the one that is asked
	selves    []uint64           // the members' IDs
	base      int64              // revision of the store when the program began
	tokens    map[string]string  // of users
	watches   map[int]*watchStream
	pending   map[int]*pendingCall
	observers map[int]*observer
	offices   map[string]int64 // create revisions of the keys of those who were elected
	leases    []int64          // those whose IDs the server chose
	added     []uint64         // members
	exact     bool             // every step is followed by a sync
	again     bool             // the members were restarted
	jwt       *signers         // of tokens
}

func newSession(conns []*grpc.ClientConn) (*session, error) {
	s := &session{conns: conns, tokens: map[string]string{}, watches: map[int]*watchStream{},
		pending: map[int]*pendingCall{}, observers: map[int]*observer{}, offices: map[string]int64{}}
	for _, s.conn = range conns {
		h, err := s.header()
		if err != nil {
			return nil, err
		}
		s.base, s.selves = h.Revision, append(s.selves, h.MemberId)
	}
	s.conn = conns[0]
	return s, nil
}

// restarted says that the members were, and how they are spoken to now. They
// know no token any more.
func (s *session) restarted(conns []*grpc.ClientConn) {
	s.conns, s.conn, s.tokens, s.again = conns, conns[0], map[string]string{}, true
}

// ask turns to a member. One that was not asked last may be behind, so it is
// had to catch up first; whether the read that does so is allowed is no matter.
func (s *session) ask(member int) {
	if conn := s.conns[member%len(s.conns)]; conn != s.conn {
		s.conn = conn
		_, _ = s.header()
	}
}

func (s *session) close() {
	for i := range s.watches {
		s.closeStream(i)
	}
	for i, p := range s.pending {
		p.end()
		delete(s.pending, i)
	}
	for i, o := range s.observers {
		o.end()
		delete(s.observers, i)
	}
}

// header says at which revision the store is.
func (s *session) header() (*pb.ResponseHeader, error) {
	ctx, cancel := context.WithTimeout(s.context("root"), callTimeout)
	defer cancel()
	resp, err := pb.NewKVClient(s.conn).Range(ctx, &pb.RangeRequest{Key: []byte{0}, CountOnly: true})
	return resp.GetHeader(), err
}

// play carries out a step, other than a sync, and returns the answer as it is
// compared.
func (s *session) play(step Step) Answer {
	s.ask(step.Member)
	if step.Method == closeMethod {
		s.closeStream(step.Stream)
		return Answer{}
	}
	if step.Req != nil {
		step.Req = s.actual(step.Req)
	}
	for i, m := range step.More {
		step.More = slices.Clone(step.More)
		step.More[i] = s.actual(m)
	}
	if step.Method == goneMethod {
		return Answer{Err: s.untilGone(step.Req.(*pb.LeaseTimeToLiveRequest))}
	}
	if step.Method == ledMethod || step.Method == moveMethod {
		return Answer{Err: s.lead(step)}
	}
	if step.JSON != nil && step.JSON.socket {
		return s.overSocket(step)
	}
	if step.Method == watchMethod {
		return s.normal(step, s.watch(step))
	}
	if step.JSON != nil {
		return s.post(step)
	}
	return s.normal(step, s.answerTo(step))
}

// answerTo carries out a step by gRPC, other than on a Watch stream.
func (s *session) answerTo(step Step) Answer {
	defer s.settleCalls()
	switch {
	case step.Method == awaitMethod:
		return s.await(step)
	case step.Method == abandonMethod:
		return s.abandon(step)
	case step.Method == heardMethod:
		return s.heard(step)
	case step.Method == "Election/Observe":
		return s.observe(step)
	case step.Pending != 0:
		return s.begin(step)
	}
	ctx, cancel := context.WithTimeout(s.contextOf(step), callTimeout)
	defer cancel()
	a := callOn(ctx, s.conn, step)
	if a.Err == nil {
		s.learn(step.Req, a.Messages)
	}
	return a
}

// untilGone asks for all leases until this one is none of them. One whose time
// is up is listed until it is revoked, and its keys are deleted.
func (s *session) untilGone(r *pb.LeaseTimeToLiveRequest) error {
	ctx, cancel := context.WithTimeout(s.context("root"), time.Minute)
	defer cancel()
	for {
		resp, err := pb.NewLeaseClient(s.conn).LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(resp.Leases, func(l *pb.LeaseStatus) bool { return l.ID == r.ID }) {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// context carries the user's token. One who has none is sent as a token that
// the server doesn't know.
func (s *session) context(user string) context.Context {
	ctx := context.Background()
	if token := s.token(user); token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "token", token)
	}
	return ctx
}

func (s *session) token(user string) string {
	if s.jwt != nil && user == "root" {
		return s.jwt.root() // that of before is old as soon as users or roles change
	}
	token := s.tokens[user]
	if user == "" || user == "root" || token != "" {
		return token
	}
	return "nobody.1"
}

// callOn makes a call of any kind: it sends the requests, nothing more, and
// receives until the server ends.
func callOn(ctx context.Context, conn *grpc.ClientConn, step Step) Answer {
	method, err := describe(step.Method)
	if err != nil {
		return Answer{Err: err}
	}
	path := fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{
		ServerStreams: method.IsStreamingServer(), ClientStreams: method.IsStreamingClient(),
	}, path, grpc.ForceCodecV2(newWireCodec(step.Wire)))
	if err != nil {
		return Answer{Err: err}
	}
	for _, m := range append([]proto.Message{step.Req}, step.More...) {
		if err := stream.SendMsg(m); err != nil && err != io.EOF {
			return Answer{Err: err}
		}
	}
	if err := stream.CloseSend(); err != nil {
		return Answer{Err: err}
	}
	var a Answer
	for {
		resp, err := newMessage(method.Output())
		if err != nil {
			return Answer{Err: err}
		}
		switch err := stream.RecvMsg(resp); {
		case err == io.EOF:
			a.Meta = metadataOf(stream)
			return a
		case err != nil:
			a.Err, a.Meta = err, metadataOf(stream)
			return a
		}
		a.Messages = append(a.Messages, resp)
		if !method.IsStreamingServer() {
			a.Meta = metadataOf(stream)
			return a
		}
	}
}

// contextOf carries the step's metadata. A token among them is the only one.
func (s *session) contextOf(step Step) context.Context {
	ctx := s.context(step.As)
	if step.Token != nil {
		ctx = metadata.AppendToOutgoingContext(context.Background(), "token", s.signed(step.Token))
	}
	for i := 0; i < len(step.Meta); i += 2 {
		if i == 0 && (step.Meta[0] == "token" || step.Meta[0] == "authorization") {
			ctx = context.Background()
		}
		ctx = metadata.AppendToOutgoingContext(ctx, step.Meta[i], step.Meta[i+1])
	}
	return ctx
}

// metadataOf is what a server sent around its answer, sorted.
func metadataOf(stream grpc.ClientStream) string {
	var out []string
	head, _ := stream.Header() // the error is the answer's
	for where, md := range map[string]metadata.MD{"head": head, "trailer": stream.Trailer()} {
		for name, values := range md {
			// The type is not sent where there is an error alone; the others are of
			// HTTP, by which etcd serves gRPC where it speaks TLS.
			if name != "content-type" && name != "trailer" && !strings.HasPrefix(name, "access-control-") {
				out = append(out, fmt.Sprintf("%s %s=%q", where, name, values))
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// describe finds "KV/Put" in etcdserverpb, or a method of the packages beside it.
func describe(method string) (protoreflect.MethodDescriptor, error) {
	service, name, _ := strings.Cut(method, "/")
	for _, pkg := range []string{"etcdserverpb.", "v3lockpb.", "v3electionpb."} {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(pkg + service))
		if err != nil {
			continue
		}
		if m := d.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(name)); m != nil {
			return m, nil
		}
	}
	return nil, fmt.Errorf("there is no method %s", method)
}

func newMessage(d protoreflect.MessageDescriptor) (proto.Message, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return nil, err
	}
	return t.New().Interface(), nil
}
