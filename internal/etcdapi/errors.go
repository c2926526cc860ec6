package etcdapi

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/kv"
)

// Faults are the errors by which a [Proposer] says what became of a request,
// matched with errors.Is. All of them but UnknownOutcome mean that it did not
// happen.
type Faults struct {
	UnknownOutcome error // it may have happened, or may still
	NotLeader      error // there was no leader to give it to
	Overloaded     error
	NotMember      error // in no cluster yet
	Refused        error // a membership change was turned down
	Removed        error // this member was removed
	Stopped        error
	TooLarge       error
}

// fault is one line of the table.
type fault struct {
	is   error
	etcd error                          // what the client is told, or
	say  func(s *Server, e error) error // how that is put into words
}

// table maps our errors to etcd's. The first match counts.
//
// clientv3 repeats reads on codes.Unavailable, and never repeats a write on
// it; but it repeats both on codes.Canceled and codes.DeadlineExceeded as long
// as the caller's own context lives (isContextError in its
// retry_interceptor.go). So a write whose outcome is unknown must be told as
// Unavailable, and nothing here may have one of the other two codes.
func (f Faults) table() []fault {
	return []fault{
		{is: f.UnknownOutcome, etcd: rpctypes.ErrGRPCTimeout},
		{is: f.NotLeader, etcd: rpctypes.ErrGRPCNoLeader},
		{is: f.Overloaded, etcd: rpctypes.ErrGRPCRequestTooManyRequests},
		{is: f.NotMember, say: (*Server).notMember},
		{is: f.Removed, say: removed},
		{is: f.Refused, say: refused},
		{is: f.Stopped, etcd: rpctypes.ErrGRPCStopped},
		{is: f.TooLarge, etcd: rpctypes.ErrGRPCRequestTooLarge},
		{is: kv.ErrClosed, etcd: rpctypes.ErrGRPCStopped},
		{is: context.DeadlineExceeded, etcd: rpctypes.ErrGRPCTimeout},
		{is: context.Canceled, etcd: rpctypes.ErrGRPCTimeout},
	}
}

// toGRPC is the error that the client gets. Errors that are etcd's already,
// as those of package kv, pass unchanged.
func (s *Server) toGRPC(err error) error {
	if err == nil {
		return nil
	}
	for _, f := range s.faults {
		if f.is == nil || !errors.Is(err, f.is) {
			continue
		}
		if f.say != nil {
			return f.say(s, err)
		}
		return f.etcd
	}
	var own interface{ GRPCStatus() *status.Status } // errors.As: also a wrapped one, whose text clients know
	if errors.As(err, &own) {
		st := own.GRPCStatus()
		if c := st.Code(); c == codes.Canceled || c == codes.DeadlineExceeded {
			return rpctypes.ErrGRPCTimeout
		}
		return st.Err()
	}
	return status.Error(codes.Unknown, "muster: "+err.Error())
}

// notMember explains with the first thing that the node waits for.
func (s *Server) notMember(error) error {
	why := "it is still forming or joining; `muster why` says what it waits for"
	if rs := s.cfg.Proposer.Why(); len(rs) > 0 {
		why = rs[0].Text
	}
	return status.Error(codes.Unavailable, "muster: this node is in no cluster yet: "+why)
}

func removed(*Server, error) error {
	return status.Error(codes.Unavailable, "muster: this member was removed from the cluster; ask another endpoint")
}

func refused(_ *Server, err error) error {
	var r interface{ RefusalCode() string }
	if errors.As(err, &r) && refusals[r.RefusalCode()] != nil {
		return refusals[r.RefusalCode()]
	}
	return status.Error(codes.FailedPrecondition, fmt.Sprintf("muster: %v", err))
}
