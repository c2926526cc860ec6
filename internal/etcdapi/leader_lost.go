package etcdapi

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

// leaderlessTimeouts is for how many election timeouts there must have been no
// leader before streams end for it, as in etcd: to open one again costs more
// than to wait a little.
const leaderlessTimeouts = 3

// requiring are the streams under way whose clients require a leader. A
// goroutine looks after them while there are any.
type requiring struct {
	mu      sync.Mutex
	streams map[*ledStream]struct{}
	stop    chan struct{} // closed when the last one has ended
}

// ledStream is a stream whose context ends when the leader is lost.
type ledStream struct {
	grpc.ServerStream
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// Context implements grpc.ServerStream.
func (l *ledStream) Context() context.Context { return l.ctx }

// whileLed serves a stream until it ends or the leader has been lost.
func (s *Server) whileLed(srv any, stream grpc.ServerStream, next grpc.StreamHandler) error {
	l := &ledStream{ServerStream: stream}
	l.ctx, l.cancel = context.WithCancelCause(stream.Context())
	defer l.cancel(nil)
	s.requiring.add(s, l)
	defer s.requiring.remove(l)
	err := next(srv, l)
	if lost := context.Cause(l.ctx); err != nil && errors.Is(lost, rpctypes.ErrGRPCNoLeader) {
		return lost
	}
	return err
}

func (r *requiring) add(s *Server, l *ledStream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.streams == nil {
		r.streams = map[*ledStream]struct{}{}
	}
	r.streams[l] = struct{}{}
	if len(r.streams) == 1 {
		stop := make(chan struct{})
		r.stop = stop
		go s.watchLeader(stop)
	}
}

func (r *requiring) remove(l *ledStream) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.streams, l)
	if len(r.streams) == 0 {
		close(r.stop)
	}
}

// watchLeader ends all streams when there has been no leader for long enough.
func (s *Server) watchLeader(stop <-chan struct{}) {
	tick := time.NewTicker(s.cfg.ElectionTimeout)
	defer tick.Stop()
	for leaderless := 0; ; {
		select {
		case <-tick.C:
		case <-stop:
			return
		}
		if leaderless++; s.cfg.Proposer.Glance().Leader != 0 {
			leaderless = 0
		}
		if leaderless >= leaderlessTimeouts {
			s.requiring.end(rpctypes.ErrGRPCNoLeader)
		}
	}
}

func (r *requiring) end(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for l := range r.streams {
		l.cancel(why)
	}
}
