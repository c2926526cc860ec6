package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// method is one of etcd's Lock and Election services, whose gateway lies in
// etcd's server module and not in its API.
type method struct {
	path, name string // below /v3/, and gRPC's
	streams    bool   // it answers with any number of messages
}

var recipeMethods = []method{
	{"lock/lock", "v3lockpb.Lock/Lock", false},
	{"lock/unlock", "v3lockpb.Lock/Unlock", false},
	{"election/campaign", "v3electionpb.Election/Campaign", false},
	{"election/proclaim", "v3electionpb.Election/Proclaim", false},
	{"election/leader", "v3electionpb.Election/Leader", false},
	{"election/observe", "v3electionpb.Election/Observe", true},
	{"election/resign", "v3electionpb.Election/Resign", false},
}

// registerConcurrency has their methods called by the descriptors of their
// messages, where the program has those.
func registerConcurrency(_ context.Context, mux *runtime.ServeMux, conn *grpc.ClientConn) error {
	for _, m := range recipeMethods {
		err := mux.HandlePath(http.MethodPost, "/v3/"+m.path, func(w http.ResponseWriter, r *http.Request, _ map[string]string) {
			_, out := runtime.MarshalerForRequest(mux, r)
			ctx, err := runtime.AnnotateContext(r.Context(), mux, r, "/"+m.name, runtime.WithHTTPPathPattern("/v3/"+m.path))
			if err == nil {
				err = m.call(ctx, mux, conn, w, r)
			}
			if err != nil {
				runtime.HTTPError(ctx, mux, out, w, r, err)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (m method) call(ctx context.Context, mux *runtime.ServeMux, conn *grpc.ClientConn, w http.ResponseWriter, r *http.Request) error {
	req, answer := m.messages()
	if req == nil {
		return status.Errorf(codes.Unimplemented, "unknown service %s", strings.Split(m.name, "/")[0])
	}
	in, out := runtime.MarshalerForRequest(mux, r)
	if err := in.NewDecoder(r.Body).Decode(req); err != nil && !errors.Is(err, io.EOF) {
		return status.Errorf(codes.InvalidArgument, "%v", err)
	}
	var md runtime.ServerMetadata
	if !m.streams {
		resp := answer.New().Interface()
		err := conn.Invoke(ctx, "/"+m.name, req, resp, grpc.Header(&md.HeaderMD), grpc.Trailer(&md.TrailerMD))
		if err == nil {
			runtime.ForwardResponseMessage(runtime.NewServerMetadataContext(ctx, md), mux, out, w, r, resp, mux.GetForwardResponseOptions()...)
		}
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/"+m.name)
	if err == nil {
		err = errors.Join(stream.SendMsg(req), stream.CloseSend())
	}
	if err == nil {
		md.HeaderMD, err = stream.Header()
	}
	if err == nil {
		runtime.ForwardResponseStream(runtime.NewServerMetadataContext(ctx, md), mux, out, w, r, func() (proto.Message, error) {
			resp := answer.New().Interface()
			return resp, stream.RecvMsg(resp)
		}, mux.GetForwardResponseOptions()...)
	}
	return err
}

// messages are an empty request and the type of the answer; nil: the program
// doesn't have the service's descriptor.
func (m method) messages() (proto.Message, protoreflect.MessageType) {
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(m.name, "/", ".")))
	md, ok := d.(protoreflect.MethodDescriptor)
	if err != nil || !ok {
		return nil, nil
	}
	req, err1 := protoregistry.GlobalTypes.FindMessageByName(md.Input().FullName())
	answer, err2 := protoregistry.GlobalTypes.FindMessageByName(md.Output().FullName())
	if err1 != nil || err2 != nil {
		return nil, nil
	}
	return req.New().Interface(), answer
}
