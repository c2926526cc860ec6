package etcdapi

import (
	"context"

	"github.com/musterhq/muster/kv"
)

// mayWatch is the reason why whoever opened the stream may not watch what a
// request names, in the words with which etcd cancels such a watch; empty if
// it may. As in etcd it is asked once: a watch that was begun goes on when
// users or roles change.
func (s *Server) mayWatch(ctx context.Context, key, end []byte) string {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	c, err := s.caller(ctx)
	if err == nil {
		err = s.cfg.Store.Auth().MayRead(c, key, end)
	}
	if err == nil {
		return ""
	}
	return s.toGRPC(err).Error()
}

// mayRenew says whether the caller may keep a lease alive: who may write all
// keys that hang on it.
func (s *Server) mayRenew(ctx context.Context, lease int64) error {
	return s.mayLeases(ctx, (*kv.Auth).MayWrite, lease)
}

// maySeeKeys says whether the caller may see which keys hang on the leases: who
// may read all of them. As in etcd, it is asked, too, of who lists all leases.
func (s *Server) maySeeKeys(ctx context.Context, leases ...int64) error {
	return s.mayLeases(ctx, (*kv.Auth).MayRead, leases...)
}

// mayLeases asks about every key of the leases, at one revision of users and
// roles. The caller must be somebody even if there are no keys.
func (s *Server) mayLeases(ctx context.Context, may func(a *kv.Auth, c kv.Caller, key, end []byte) error, leases ...int64) error {
	c, err := s.caller(ctx)
	if err != nil {
		return s.toGRPC(err)
	}
	auth := s.cfg.Store.Auth()
	switch {
	case !auth.Enabled():
		return nil
	case c == kv.Caller{}:
		return kv.ErrUserEmpty
	case auth.MayAdminister(c) == nil:
		return nil
	}
	for _, id := range leases {
		keys, err := s.cfg.Store.LeaseKeys(id)
		if err != nil {
			return s.toGRPC(err)
		}
		for _, key := range keys {
			if err := may(auth, c, key, nil); err != nil {
				return err
			}
		}
	}
	if s.cfg.Store.Auth().Revision() != auth.Revision() {
		return kv.ErrAuthOldRevision
	}
	return nil
}
