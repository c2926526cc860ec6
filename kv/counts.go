package kv

import (
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Counts are how many operations a store has carried out since it was made, as
// etcd counts them: what is applied from the log counts on each member, and again
// after a restart that applies it again.
type Counts struct {
	Ranges, Puts, Deletes uint64 // those in transactions too
	Txns                  uint64 // all but those of one single operation
}

// counts are added to by readers and by the applier.
type counts struct{ ranges, puts, deletes, txns atomic.Uint64 }

// Counts tells what was carried out so far.
func (s *Store) Counts() Counts {
	c := &s.counts
	return Counts{Ranges: c.ranges.Load(), Puts: c.puts.Load(), Deletes: c.deletes.Load(), Txns: c.txns.Load()}
}

// txn counts a transaction by the branch that is carried out.
func (c *counts) txn(ops []*pb.RequestOp) {
	if len(ops) != 1 || ops[0].GetRequestTxn() != nil {
		c.txns.Add(1)
	}
}

// read counts a branch that only reads.
func (c *counts) read(b branch) {
	c.txn(b.ops)
	c.branchRanges(b)
}

func (c *counts) branchRanges(b branch) {
	for _, op := range b.ops {
		if op.GetRequestRange() != nil {
			c.ranges.Add(1)
		}
	}
	for _, n := range b.nested {
		c.branchRanges(n)
	}
}
