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
	conn    *grpc.ClientConn
	self    uint64            // the member's ID
	base    int64             // revision of the store when the program began
	tokens  map[string]string // of users
	watches map[int]*watchStream
	leases  []int64  // those whose IDs the server chose
	added   []uint64 // members
	exact   bool     // every step is followed by a sync
}

func newSession(conn *grpc.ClientConn) (*session, error) {
	s := &session{conn: conn, tokens: map[string]string{}, watches: map[int]*watchStream{}}
	h, err := s.header()
	if err != nil {
		return nil, err
	}
	s.base, s.self = h.Revision, h.MemberId
	return s, nil
}

func (s *session) close() {
	for i := range s.watches {
		s.closeStream(i)
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
	if step.Method == closeMethod {
		s.closeStream(step.Stream)
		return Answer{}
	}
	if step.Req != nil {
		step.Req = s.actual(step.Req)
	}
	if step.Method == goneMethod {
		return Answer{Err: s.untilGone(step.Req.(*pb.LeaseTimeToLiveRequest))}
	}
	if step.Method == watchMethod {
		return s.normal(step, s.watch(step))
	}
	if step.JSON != nil {
		return s.post(step)
	}
	a := s.call(step)
	if a.Err == nil {
		s.learn(step.Req, a.Messages)
	}
	return s.normal(step, a)
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
	token := s.tokens[user]
	if user == "" || user == "root" || token != "" {
		return token
	}
	return "nobody.1"
}

// call makes a call of any kind: it sends the one request, nothing more, and
// receives until the server ends.
func (s *session) call(step Step) Answer {
	method, err := describe(step.Method)
	if err != nil {
		return Answer{Err: err}
	}
	ctx, cancel := context.WithTimeout(s.context(step.As), callTimeout)
	defer cancel()
	path := fmt.Sprintf("/%s/%s", method.Parent().FullName(), method.Name())
	stream, err := s.conn.NewStream(ctx, &grpc.StreamDesc{
		ServerStreams: method.IsStreamingServer(), ClientStreams: method.IsStreamingClient(),
	}, path)
	if err != nil {
		return Answer{Err: err}
	}
	if err := stream.SendMsg(step.Req); err != nil && err != io.EOF {
		return Answer{Err: err}
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
			return a
		case err != nil:
			a.Err = err
			return a
		}
		a.Messages = append(a.Messages, resp)
		if !method.IsStreamingServer() {
			return a
		}
	}
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
