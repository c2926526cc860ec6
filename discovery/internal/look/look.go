// Package look is what the providers of addresses have in common: they look
// again and again at a [Pace], and say what they found as package discovery
// asks for.
//
// It knows no source of addresses, keeps no goroutine, and is no contract: who
// writes a provider elsewhere needs none of it.
package look

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"time"
)

// Pace is how long to pause between two looks: Min, and after each look that
// brought what the one before did, an answer or an error, twice as long, up to
// Max. Something new is answered by pauses of Min again, for it seldom comes
// alone. Each pause is a quarter shorter or longer by chance, so that nodes
// which were started together don't ask together for ever.
type Pace struct {
	Min, Max time.Duration
}

// Or fills in what is zero in p from def. A Max below Min becomes Min.
func (p Pace) Or(def Pace) Pace {
	if p.Min <= 0 {
		p.Min = def.Min
	}
	if p.Max <= 0 {
		p.Max = def.Max
	}
	p.Max = max(p.Max, p.Min)
	return p
}

// Report is the function that a provider's Find is given.
type Report func(addrs []string, err error)

// Again looks until ctx ends, and reports each time what was found.
func (p Pace) Again(ctx context.Context, report Report, look func(context.Context) ([]string, error)) {
	var last Finding
	pause := p.Min
	for ctx.Err() == nil {
		addrs, err := look(ctx)
		if ctx.Err() != nil {
			return // what it says now is about the end, not about the source
		}
		now := Found(addrs, err)
		now.Report(report)
		if pause = min(2*pause, p.Max); !now.like(last) {
			pause = p.Min
		}
		last = now
		Pause(ctx, pause)
	}
}

// Pause waits for some d, or until ctx ends.
func Pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d*3/4 + rand.N(d/2+1))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Finding is what a look brought.
type Finding struct {
	addrs []string // sorted, no duplicates, each host:port
	err   error
	some  bool // not the zero value
}

// Found makes a finding of what a source answered: it is sorted, what comes
// twice is dropped, and what is no address becomes a part of the error.
func Found(addrs []string, err error) Finding {
	f := Finding{some: true}
	errs := []error{err}
	for _, a := range addrs {
		if bad := CheckAddr(a); bad != nil {
			errs = append(errs, bad)
			continue
		}
		f.addrs = append(f.addrs, a)
	}
	slices.Sort(f.addrs)
	f.addrs = slices.Compact(f.addrs)
	f.err = errors.Join(errs...)
	return f
}

// Report says it: the addresses, if there are any or nothing went wrong, and
// then the error, so that this is what remains on show.
func (f Finding) Report(report Report) {
	if len(f.addrs) > 0 || f.err == nil {
		report(f.addrs, nil)
	}
	if f.err != nil {
		report(nil, f.err)
	}
}

// Equal compares addresses, and errors by their texts.
func (f Finding) Equal(g Finding) bool {
	return f.like(g) && text(f.err) == text(g.err)
}

// like compares addresses, and whether there is an error: the texts of some
// hold a port or a number that is another one each time.
func (f Finding) like(g Finding) bool {
	return f.some == g.some && slices.Equal(f.addrs, g.addrs) && (f.err == nil) == (g.err == nil)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// CheckAddr says what keeps addr from being the address of a peer.
func CheckAddr(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("%q names no host that can be reached", addr)
	}
	if _, err := Port(port); err != nil {
		return fmt.Errorf("%q: %w", addr, err)
	}
	return nil
}

// Port reads the number of a TCP port, 1 to 65535.
func Port(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("port %q is not a number from 1 to 65535", s)
	}
	return uint16(n), nil
}
