package host

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/transport"
	"github.com/musterhq/muster/internal/wire"
)

// Raft needs no clocks. Certificates and leases do, and people who read logs, so
// a clock that is off is told of, and nothing else is done about it.
const (
	clockEvery   = 5 * time.Second        // one peer in turn is asked
	clockSkew    = 500 * time.Millisecond // from which on a difference is told
	clockForgets = 3 * time.Minute        // a difference that nobody has seen again since
)

// clocks are the differences to the clocks of peers that were found last.
type clocks struct {
	mu   sync.Mutex
	last map[cluster.NodeID]skew
}

// skew bounds how much a peer's clock is ahead of this node's: it was read after
// the question left and before the answer came.
type skew struct {
	least, most time.Duration
	at          time.Time
}

// told says that the clock is certainly off by more than is to be told.
func (s skew) told() bool { return s.least > clockSkew || s.most < -clockSkew }

func (s skew) String() string {
	d := (s.least + s.most) / 2
	way := "ahead of"
	if d < 0 {
		d, way = -d, "behind"
	}
	return fmt.Sprintf("%v %s", d.Round(100*time.Millisecond), way)
}

// compareClocks asks one peer after another for the time.
func (h *Host) compareClocks() {
	ticker := time.NewTicker(clockEvery)
	defer ticker.Stop()
	for turn := 0; ; turn++ {
		select {
		case <-h.ctx.Done():
			return
		case <-ticker.C:
		}
		if peers := h.tr.Peers(); len(peers) > 0 {
			h.compareClock(peers[turn%len(peers)])
		}
	}
}

func (h *Host) compareClock(p transport.PeerStatus) {
	if !p.Connected {
		return
	}
	ctx, cancel := context.WithTimeout(h.ctx, member.CallPatience)
	defer cancel()
	asked := time.Now()
	_, hello, err := h.tr.Call(ctx, p.Addr, p.ID, wire.Request{Probe: &wire.Probe{}})
	answered := time.Now()
	if err != nil || hello.Now == 0 {
		return
	}
	there := time.UnixMilli(hello.Now)
	c := &h.clocks
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		c.last = map[cluster.NodeID]skew{}
	}
	// A millisecond more is what the other's has been rounded by.
	c.last[p.ID] = skew{least: there.Sub(answered), most: there.Sub(asked) + time.Millisecond, at: answered}
}

// whyClocks tells of peers whose clocks are off.
func (h *Host) whyClocks(v *member.View) []event.Reason {
	var out []event.Reason
	c := &h.clocks
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range h.tr.Peers() {
		if s, ok := c.last[p.ID]; ok && s.told() && time.Since(s.at) < clockForgets {
			out = append(out, event.Reason{Code: "clock_skew", Peer: p.ID, Addr: p.Addr,
				Text:   fmt.Sprintf("the clock of %s at %s is %s this node's", v.Name(p.ID), p.Addr, s),
				WayOut: "have the machines keep their clocks together (NTP); Raft doesn't need it, but certificates and leases do"})
		}
	}
	return out
}
