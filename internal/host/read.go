package host

import (
	"context"
	"fmt"
)

// read is one caller that waits for a linearizable read.
type read struct {
	done  chan struct{}
	index uint64
	err   error

	// Owned by the loop.
	token     uint64 // 0: not yet, or never
	withdrawn bool   // its caller gave up before the loop saw it
}

func (r *read) finish(index uint64, err error) {
	r.index, r.err = index, err
	r.done <- struct{}{}
}

// ReadIndex returns once the machine has applied all that was committed before
// the call. See muster.Node.ReadIndex.
func (h *Host) ReadIndex(ctx context.Context) (uint64, error) {
	r := &read{done: make(chan struct{}, 1)}
	if !h.in.put(func(in *inputs) { in.reads = append(in.reads, r) }) {
		return 0, h.stoppedErr()
	}
	select {
	case <-r.done:
		return r.index, r.err
	case <-ctx.Done():
		h.call(func() { h.withdrawRead(r) })
		return 0, fmt.Errorf("%w: %w", h.whyNoRead(), ctx.Err())
	}
}

// read gives reads to the member. Run by the loop.
func (h *Host) read(rs []*read) {
	for _, r := range rs {
		switch {
		case r.withdrawn:
			continue
		case !h.m.InCluster():
			r.finish(0, ErrNotMember)
			continue
		}
		r.token = h.m.Read()
		h.reading[r.token] = r
	}
}

// withdrawRead forgets a read. Run by the loop.
func (h *Host) withdrawRead(r *read) {
	r.withdrawn = true
	if h.reading[r.token] == r {
		delete(h.reading, r.token)
		h.m.WithdrawRead(r.token)
	}
}

// whyNoRead is the most telling of our errors for a read that was given up.
func (h *Host) whyNoRead() error {
	v := h.live.view.Load()
	switch {
	case v.InCluster() && v.Status.Leader == 0:
		return ErrNotLeader
	case !v.InCluster():
		return ErrNotMember
	}
	return errNoAnswer
}

var errNoAnswer = fmt.Errorf("%w: no quorum has confirmed the leader in time", ErrNotLeader)
