package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/kv"
	"github.com/musterhq/muster/statemachine"
)

// AutoCompaction says how much history is kept; what is older is compacted by
// itself. The zero value keeps all. Set one of the two.
type AutoCompaction struct {
	// Period keeps what is younger. As in etcd, revisions are noted ten times
	// in it, or in an hour if it is longer, and it is compacted once in it, or
	// once an hour.
	Period time.Duration
	// Revisions keeps as many. As in etcd, it is compacted every five minutes.
	Revisions int64
}

// ParseAutoCompaction reads etcd's --auto-compaction-mode and
// --auto-compaction-retention: a number of revisions, or a duration such as 30m
// or a number of hours. A retention of 0 turns it off.
func ParseAutoCompaction(mode, retention string) (AutoCompaction, error) {
	n, err := strconv.ParseInt(retention, 10, 64)
	number := err == nil
	switch mode {
	case "revision":
		if !number || n < 0 {
			return AutoCompaction{}, fmt.Errorf("--auto-compaction-retention %q: want a number of revisions, such as 1000", retention)
		}
		return AutoCompaction{Revisions: n}, nil
	case "periodic":
		d := time.Duration(min(n, maxRetentionHours)) * time.Hour
		if !number {
			d, err = time.ParseDuration(retention)
		}
		if err != nil || d < 0 {
			return AutoCompaction{}, fmt.Errorf("--auto-compaction-retention %q: want a duration, such as 30m, or a number of hours", retention)
		}
		return AutoCompaction{Period: d}, nil
	}
	return AutoCompaction{}, fmt.Errorf("--auto-compaction-mode %q: want periodic or revision", mode)
}

const (
	maxRetentionHours = 100 * 365 * 24 // more is for ever
	revisionInterval  = 5 * time.Minute
)

func (a AutoCompaction) validate() error {
	if a.Period < 0 || a.Revisions < 0 || a.Period > 0 && a.Revisions > 0 {
		return fmt.Errorf("%w: automatic compaction (--auto-compaction-mode, --auto-compaction-retention): want a period or a number of revisions, and one of them", muster.ErrConfig)
	}
	return nil
}

// compactorNode is what a compactor needs of the member.
type compactorNode interface {
	Propose(ctx context.Context, command []byte) (statemachine.Result, error)
	Leads() bool
	Revision() (current, compacted int64)
}

// compactor carries an [AutoCompaction] out. Every member runs one, so that a
// new leader knows the revisions of the time before it; only the leader
// proposes, and the others see by the mark that it did.
type compactor struct {
	keep    AutoCompaction
	node    compactorNode
	timeout time.Duration // of one proposal
	log     *slog.Logger

	noted    []int64   // revisions, one for each tick, oldest first; for Period
	last     int64     // the revision compacted last by this rule
	lastTime time.Time // when that was
	wait     time.Duration
}

// run works until ended is closed; a proposal then ends with the node.
func (c *compactor) run(ended <-chan struct{}) {
	every, cycle := revisionInterval, revisionInterval
	if c.keep.Period > 0 {
		cycle = min(c.keep.Period, time.Hour)
		every = max(cycle/10, 1)
	}
	c.lastTime, c.wait = time.Now(), c.keep.Period
	c.note(every)
	for {
		select {
		case <-ended:
			return
		case <-time.After(every):
		}
		if rev := c.due(); rev > 0 && c.compact(rev) {
			c.last, c.lastTime, c.wait = rev, time.Now(), cycle
		}
		c.note(every)
	}
}

// note remembers the current revision, so that the oldest one noted is that of
// one period ago.
func (c *compactor) note(every time.Duration) {
	if c.keep.Period == 0 {
		return
	}
	current, _ := c.node.Revision()
	c.noted = append(c.noted, current)
	if most := int(c.keep.Period/every) + 1; len(c.noted) > most {
		c.noted = c.noted[1:]
	}
}

// due is the revision to compact at now, 0 for none.
func (c *compactor) due() int64 {
	var rev int64
	if c.keep.Period > 0 {
		if time.Since(c.lastTime) < c.wait {
			return 0
		}
		rev = c.noted[0]
	} else {
		current, _ := c.node.Revision()
		rev = current - c.keep.Revisions
	}
	if rev <= 0 || rev == c.last {
		return 0
	}
	return rev
}

// compact says whether history is compacted at rev, by this member or another.
func (c *compactor) compact(rev int64) bool {
	if _, compacted := c.node.Revision(); compacted >= rev {
		return true
	}
	if !c.node.Leads() {
		return false
	}
	err := c.propose(rev)
	if errors.Is(err, kv.ErrCompacted) {
		return true
	}
	if err != nil {
		c.log.Warn("automatic compaction failed; it is tried again", "revision", rev, "err", err)
		return false
	}
	c.log.Info("compacted history", "revision", rev)
	return true
}

func (c *compactor) propose(rev int64) error {
	cmd, err := kv.EncodeCompaction(&pb.CompactionRequest{Revision: rev})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	result, err := c.node.Propose(ctx, cmd)
	if err != nil {
		return err
	}
	if reply, ok := result.(kv.Reply); ok {
		return reply.Err
	}
	return fmt.Errorf("the compaction was answered by a %T", result)
}

// compactorMember is the member as a compactor sees it.
type compactorMember struct{ *Server }

func (m compactorMember) Propose(ctx context.Context, command []byte) (statemachine.Result, error) {
	return m.node.Propose(ctx, command)
}

func (m compactorMember) Revision() (current, compacted int64) { return m.store.Revision() }

func (m compactorMember) Leads() bool {
	g := m.node.Glance()
	return g.Leader != 0 && g.Leader == g.Self
}

// autoCompact runs a compactor until the node ends, if there is anything to do.
func (s *Server) autoCompact() {
	if s.cfg.AutoCompaction == (AutoCompaction{}) {
		return
	}
	c := compactor{keep: s.cfg.AutoCompaction, node: compactorMember{s}, timeout: s.cfg.RequestTimeout, log: s.log}
	c.run(s.node.Done())
}
