package host

import (
	"fmt"
	"sync"

	"github.com/musterhq/muster/discovery"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/member"
)

// source is a discovery provider and what it reported last.
type source struct {
	discovery.Provider

	mu    sync.Mutex
	found bool // it has found another address than this node's own, ever
	err   error
}

// discover starts the providers. What they find goes to the loop.
func (h *Host) discover() {
	for _, p := range h.cfg.Discovery {
		s := &source{Provider: p}
		h.sources = append(h.sources, s)
		h.spawn(func() {
			s.Find(h.ctx, h.cfg.Self.PeerAddr, func(addrs []string, err error) { h.reported(s, addrs, err) })
		})
	}
}

// reported takes what a source has found; an error is logged when it is new.
func (h *Host) reported(s *source, addrs []string, err error) {
	s.mu.Lock()
	news := err != nil && (s.err == nil || s.err.Error() != err.Error())
	s.err = err
	for _, a := range addrs {
		s.found = s.found || a != h.cfg.Self.PeerAddr
	}
	s.mu.Unlock()
	if news {
		h.log.Warn("discovery failed, and is tried again", "source", s.String(), "err", err)
	}
	if len(addrs) > 0 {
		h.call(func() { h.m.Discovered(addrs) })
	}
}

// whySources tells of sources that don't help a node which needs others.
func (h *Host) whySources(v *member.View) []event.Reason {
	if v.InCluster() && v.Status.Leader != 0 {
		return nil
	}
	var out []event.Reason
	for _, s := range h.sources {
		s.mu.Lock()
		found, err := s.found, s.err
		s.mu.Unlock()
		switch {
		case err != nil:
			out = append(out, event.Reason{Code: "discovery_failed",
				Text:   fmt.Sprintf("the discovery source %s fails: %v", s, err),
				WayOut: "mend what the error says; it is tried again by itself. Or name addresses with --seeds"})
		case !found:
			out = append(out, event.Reason{Code: "discovery_found_nothing",
				Text:   fmt.Sprintf("the discovery source %s has found no other node yet", s),
				WayOut: "start the others where it finds them, or correct what it looks for; it goes on looking by itself"})
		}
	}
	return out
}
