package etcdapi

import (
	"context"
	"encoding/base64"
	"runtime"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"golang.org/x/crypto/bcrypt"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/kv"
)

// maxPasswordWaits is how many wait for each one that works on a password: with
// a tenth of a second for each, about as many as a request timeout has time for.
const maxPasswordWaits = 64

// passwords bounds how many work on passwords at once, which is meant to take
// long: anybody may ask to have one checked, and half of the processors stay with
// those who ask for anything else.
type passwords struct {
	slots chan struct{}
	asked atomic.Int64 // who works and who waits
}

func newPasswords() *passwords {
	return &passwords{slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
}

// work has do work on one password when it is its turn. The errors are ctx's,
// and that too many wait; do was then not called.
func (p *passwords) work(ctx context.Context, do func()) error {
	defer p.asked.Add(-1)
	if p.asked.Add(1) > int64(cap(p.slots)*(1+maxPasswordWaits)) {
		return rpctypes.ErrGRPCRequestTooManyRequests
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.slots }()
	do()
	return nil
}

// checkPassword says why a password isn't the one of the user. The error is the
// client's.
func (s *Server) checkPassword(ctx context.Context, auth *kv.Auth, name, password string) error {
	if !auth.Enabled() {
		return kv.ErrAuthNotEnabled
	}
	u, ok := auth.User(name)
	switch {
	case !ok:
		return kv.ErrAuthFailed
	case u.GetOptions().GetNoPassword():
		return kv.ErrNoPasswordUser
	}
	ctx, cancel := s.patient(ctx)
	defer cancel()
	var wrong error
	if err := s.passwords.work(ctx, func() { wrong = bcrypt.CompareHashAndPassword(u.GetPassword(), []byte(password)) }); err != nil {
		return s.toGRPC(err)
	}
	if wrong != nil {
		return kv.ErrAuthFailed
	}
	return nil
}

// hash is what is stored of a password that the caller may set. The error is the
// client's.
func (s *authService) hash(ctx context.Context, password string) (string, error) {
	auth, c, err := s.readAuth(ctx)
	if err == nil {
		err = auth.MayAdminister(c) // the machine asks again
	}
	if err != nil {
		return "", err
	}
	cost := s.cfg.Auth.BcryptCost
	if cost == 0 {
		cost = bcrypt.DefaultCost
	}
	ctx, cancel := s.patient(ctx)
	defer cancel()
	var h []byte
	if werr := s.passwords.work(ctx, func() { h, err = bcrypt.GenerateFromPassword([]byte(password), cost) }); werr != nil {
		return "", s.toGRPC(werr)
	}
	if err != nil {
		return "", status.Error(codes.Unknown, err.Error()) // such as a password that is too long
	}
	return base64.StdEncoding.EncodeToString(h), nil
}
