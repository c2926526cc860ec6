package etcdapi

import (
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/kv"
	"github.com/musterhq/muster/statemachine"
)

// unpack takes the response of type R out of what the machine returned. A
// write that was applied but whose response is not the expected one is a fault
// of ours; the client must not take it for one that did not happen.
func unpack[R any](s *Server, result statemachine.Result) (R, error) {
	var none R
	reply, ok := result.(kv.Reply)
	if !ok {
		return none, status.Error(codes.Internal, fmt.Sprintf("muster: the write was applied, but answered by a %T", result))
	}
	if reply.Err != nil {
		return none, s.toGRPC(reply.Err)
	}
	resp, ok := reply.Response.(R)
	if !ok {
		return none, status.Error(codes.Internal, fmt.Sprintf("muster: the write was applied, but answered by a %T", reply.Response))
	}
	return resp, nil
}
