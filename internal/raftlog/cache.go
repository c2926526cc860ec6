package raftlog

import "go.etcd.io/raft/v3/raftpb"

// entryOverhead is what an entry costs in memory beside its data, in bytes.
const entryOverhead = 128

// cache holds the newest entries. Its last is the log's last, unless it is
// empty. Readers copy the pointers out, so that dropped slots can be cleared.
type cache struct {
	limit int64 // bytes
	bytes int64
	ents  []*raftpb.Entry // consecutive
}

func cost(e *raftpb.Entry) int64 { return int64(len(e.GetData())) + entryOverhead }

// first is the oldest index held; any index is below it when the cache is empty.
func (c *cache) first() uint64 {
	if len(c.ents) == 0 {
		return 1<<64 - 1
	}
	return c.ents[0].GetIndex()
}

// put adds e as the newest, dropping what it overwrites and what is too old.
func (c *cache) put(e *raftpb.Entry) {
	if i := e.GetIndex(); i <= c.first() {
		c.clear()
	} else if keep := i - c.first(); keep < uint64(len(c.ents)) {
		for k, old := range c.ents[keep:] {
			c.bytes -= cost(old)
			c.ents[keep+uint64(k)] = nil
		}
		c.ents = c.ents[:keep]
	}
	c.ents = append(c.ents, e)
	c.bytes += cost(e)
	for c.bytes > c.limit {
		c.pop()
	}
}

// drop forgets the entries up to through.
func (c *cache) drop(through uint64) {
	for len(c.ents) > 0 && c.first() <= through {
		c.pop()
	}
}

func (c *cache) pop() {
	c.bytes -= cost(c.ents[0])
	c.ents[0] = nil
	c.ents = c.ents[1:]
}

func (c *cache) clear() {
	clear(c.ents)
	c.ents = c.ents[:0]
	c.bytes = 0
}
