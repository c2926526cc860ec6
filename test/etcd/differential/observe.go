package differential

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
)

// observer is one Observe stream.
type observer struct {
	name    []byte
	cancel  context.CancelFunc
	arrived chan *v3electionpb.LeaderResponse // closed when the stream has ended
	last    int64                             // mod revision of what was told last
}

// observe begins to observe an election.
func (s *session) observe(step Step) Answer {
	if o := s.observers[step.Pending]; o != nil {
		o.end()
	}
	ctx, cancel := context.WithCancel(s.contextOf(step))
	stream, err := v3electionpb.NewElectionClient(s.conn).Observe(ctx, step.Req.(*v3electionpb.LeaderRequest))
	if err != nil {
		cancel()
		return Answer{Err: err}
	}
	o := &observer{name: step.Req.(*v3electionpb.LeaderRequest).Name, cancel: cancel, arrived: make(chan *v3electionpb.LeaderResponse, 1024)}
	s.observers[step.Pending] = o
	go func() {
		defer close(o.arrived)
		for {
			r, err := stream.Recv()
			if err != nil {
				return
			}
			o.arrived <- r
		}
	}()
	return s.heard(step)
}

func (o *observer) end() {
	o.cancel()
	for range o.arrived { // until it is closed
	}
}

// heard is what was told since it was asked last: at least who leads now. The
// header's revision is that of when it was told.
func (s *session) heard(step Step) Answer {
	o := s.observers[step.Pending]
	if o == nil {
		return Answer{}
	}
	ctx, cancel := context.WithTimeout(s.context("root"), callTimeout)
	defer cancel()
	now, err := v3electionpb.NewElectionClient(s.conn).Leader(ctx, &v3electionpb.LeaderRequest{Name: o.name})
	if err != nil {
		return Answer{} // there is none, and so nothing that must be told
	}
	var a Answer
	for late := time.After(callTimeout); o.last < now.GetKv().GetModRevision(); {
		select {
		case r, ok := <-o.arrived:
			if !ok {
				return Answer{Err: errors.New("the stream has ended")}
			}
			o.last = r.GetKv().GetModRevision()
			a.Messages = append(a.Messages, r)
		case <-late:
			return Answer{Err: errors.New("the stream is silent")}
		}
	}
	return a
}
