package differential

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/protobuf/proto"
)

// A Lock and a Campaign wait for those who came before. Such a call is begun by
// one step, and asked about by others. Whether it must have ended can be read
// from the keys: it waits as long as there is one under its name that is older
// than its own. So nothing here depends on how long a server takes.

// pendingCall is a call under way.
type pendingCall struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when answer is there
	answer Answer
	prefix []byte // of the keys of all who take part
	key    []byte // its own
	rev    int64  // create revision of its own key; 0: it made none
}

// begin starts a call, and returns when it has ended or put its key.
func (s *session) begin(step Step) Answer {
	ctx, cancel := context.WithCancel(s.contextOf(step))
	p := &pendingCall{cancel: cancel, done: make(chan struct{})}
	name, lease := contestOf(step.Req)
	p.prefix = append(bytes.Clone(name), '/')
	p.key = fmt.Appendf(nil, "%s%x", p.prefix, lease)
	if a := s.abandon(step); a.Err != nil && s.pending[step.Pending] != nil {
		return a
	}
	before, err := s.keys(p.key, nil)
	if err != nil {
		return Answer{Err: err}
	}
	s.pending[step.Pending] = p
	conn := s.conn
	go func() {
		p.answer = callOn(ctx, conn, step)
		close(p.done)
	}()
	return Answer{Err: s.eventually(func() (bool, error) {
		if p.ended() {
			return true, nil
		}
		now, err := s.keys(p.key, nil)
		if len(now.GetKvs()) == 0 {
			return false, err
		}
		p.rev = now.Kvs[0].CreateRevision
		// Who campaigns and has a key already gives it the new value.
		r, campaign := step.Req.(*v3electionpb.CampaignRequest)
		return !campaign || before.Count == 0 || bytes.Equal(now.Kvs[0].Value, r.Value), nil
	})}
}

func contestOf(req proto.Message) (name []byte, lease int64) {
	switch r := req.(type) {
	case *v3lockpb.LockRequest:
		return r.Name, r.Lease
	case *v3electionpb.CampaignRequest:
		return r.Name, r.Lease
	}
	return nil, 0
}

func (p *pendingCall) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func (p *pendingCall) end() {
	p.cancel()
	<-p.done
}

// await is the answer of a call that was begun, or that it waits.
func (s *session) await(step Step) Answer {
	p := s.pending[step.Pending]
	if p == nil {
		return Answer{}
	}
	if waits, err := s.waits(p); waits || err != nil {
		return Answer{Err: cmp.Or(err, errors.New("it waits"))}
	}
	select {
	case <-p.done:
	case <-time.After(callTimeout):
		return Answer{Err: errors.New("it waits, and nobody is before it")}
	}
	delete(s.pending, step.Pending)
	if p.answer.Err == nil {
		s.learn(nil, p.answer.Messages)
	}
	return p.answer
}

// waits says that somebody is before the call.
func (s *session) waits(p *pendingCall) (bool, error) {
	if p.rev == 0 || p.ended() {
		return false, nil
	}
	all, err := s.keys(p.prefix, prefixEnd(p.prefix))
	return slices.ContainsFunc(all.GetKvs(), func(k *mvccpb.KeyValue) bool { return k.CreateRevision < p.rev }), err
}

// settleCalls returns when all calls have ended before which there is nobody any
// more, so that the next step comes after that. One that doesn't end is for an
// await to find.
func (s *session) settleCalls() {
	for _, p := range s.pending {
		if waits, err := s.waits(p); !waits && err == nil {
			select {
			case <-p.done:
			case <-time.After(callTimeout):
			}
		}
	}
}

// abandon ends a call as a client does that loses patience. Its key goes, unless
// it had succeeded.
func (s *session) abandon(step Step) Answer {
	p := s.pending[step.Pending]
	if p == nil {
		return Answer{}
	}
	if a := s.await(step); s.pending[step.Pending] == nil {
		return a // it had ended, or had to
	}
	p.end()
	delete(s.pending, step.Pending)
	return Answer{Err: s.eventually(func() (bool, error) {
		kvs, err := s.keys(p.key, nil)
		return len(kvs.GetKvs()) == 0, err
	})}
}

func (s *session) keys(key, end []byte) (*pb.RangeResponse, error) {
	ctx, cancel := context.WithTimeout(s.context("root"), callTimeout)
	defer cancel()
	return pb.NewKVClient(s.conn).Range(ctx, &pb.RangeRequest{Key: key, RangeEnd: end})
}

// eventually asks until it is so.
func (s *session) eventually(is func() (bool, error)) error {
	for end := time.Now().Add(callTimeout); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok, err := is(); ok || err != nil {
			return err
		}
	}
	return errors.New("it never came about")
}
