package server

import (
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/internal/lessor"
)

// keepLeases makes the keeper of leases. It starts with the server, and ends after it.
func (s *Server) keepLeases() *lessor.Keeper {
	s.leases = lessor.NewKeeper(lessor.Config{
		Node: s.node, Store: s.store, NoLeader: muster.ErrNotLeader, Patience: s.cfg.RequestTimeout, Logger: s.log,
		Frame: func(q []byte) []byte { return append([]byte{askLeases}, q...) },
	})
	return s.leases
}

// minLeaseTTL is one and a half election timeouts in whole seconds, as in etcd: a
// lease should outlive an election.
func (c Config) minLeaseTTL() int64 {
	return int64((c.election()*3/2 + time.Second - 1) / time.Second)
}
