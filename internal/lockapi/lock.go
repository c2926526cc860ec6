package lockapi

import (
	"context"

	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
)

type lockService struct {
	v3lockpb.UnsafeLockServer
	*Server
}

// Lock implements etcd's Lock.Lock: it returns once the lock is held. The key
// that it answers with exists as long as it is.
func (s *lockService) Lock(ctx context.Context, r *v3lockpb.LockRequest) (*v3lockpb.LockResponse, error) {
	ctx = s.onBehalf(ctx)
	session, err := s.session(ctx, r.GetLease())
	if err != nil {
		return nil, err
	}
	m := concurrency.NewMutex(session, string(r.GetName()))
	if err := m.Lock(ctx); err != nil {
		return nil, err
	}
	return &v3lockpb.LockResponse{Header: m.Header(), Key: []byte(m.Key())}, nil
}

// Unlock implements etcd's Lock.Unlock. To unlock what is not locked is no error.
func (s *lockService) Unlock(ctx context.Context, r *v3lockpb.UnlockRequest) (*v3lockpb.UnlockResponse, error) {
	resp, err := s.client.Delete(s.onBehalf(ctx), string(r.GetKey()))
	if err != nil {
		return nil, err
	}
	return &v3lockpb.UnlockResponse{Header: resp.Header}, nil
}
