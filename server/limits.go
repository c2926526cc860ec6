package server

import (
	"fmt"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/internal/etcdapi"
)

// maxRequestBytes is what a command of the log may have, with room for what
// is put around the request.
const maxRequestBytes = 30 << 20

// requestOverhead bounds what a command holds beside the request, in bytes.
const requestOverhead = 64 << 10

func (l Limits) validate() error {
	if l.TxnOps < 0 {
		return fmt.Errorf("%w: --max-txn-ops %d: want a positive number", muster.ErrConfig, l.TxnOps)
	}
	if l.RequestBytes < 0 || l.RequestBytes > maxRequestBytes {
		return fmt.Errorf("%w: --max-request-bytes %d: want 1 byte to 30 MiB (%d)", muster.ErrConfig, l.RequestBytes, maxRequestBytes)
	}
	return nil
}

// commandBytes is how large a command of the log must be allowed to be; 0 is
// the node's default.
func (c Config) commandBytes() int {
	if c.Node.MaxCommandBytes != 0 || c.Limits.RequestBytes <= etcdapi.DefaultMaxRequestBytes {
		return c.Node.MaxCommandBytes
	}
	return max(4<<20, c.Limits.RequestBytes+requestOverhead)
}
