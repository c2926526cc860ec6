package mustertest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/musterhq/muster/event"
)

// Patience is how long the waiting methods wait when ctx has no deadline.
const Patience = 30 * time.Second

// poll is how often a condition is looked at.
const poll = 5 * time.Millisecond

// Until waits until ok, or ends the test saying what it waited for and what
// each running member waits for.
func (c *Cluster) Until(ctx context.Context, what string, ok func() bool) {
	c.t.Helper()
	ctx, cancel := patient(ctx)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			c.t.Fatalf("waited in vain (%v) until %s\n%s", context.Cause(ctx), what, c.Describe())
		case <-time.After(poll):
		}
	}
}

func patient(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, Patience)
}

// Ready waits until the members are ready to serve; without names, all that run.
func (c *Cluster) Ready(ctx context.Context, names ...string) {
	c.t.Helper()
	if len(names) == 0 {
		names = c.Running()
	}
	ctx, cancel := patient(ctx)
	defer cancel()
	for _, name := range names {
		if err := c.Member(name).Ready(ctx); err != nil {
			c.t.Fatalf("%s: %v\n%s", name, err, c.Describe())
		}
	}
}

// Leader waits for a running member that leads: one that a quorum has
// confirmed just now. Of two that believe it, it finds the one that does.
func (c *Cluster) Leader(ctx context.Context) *Member {
	c.t.Helper()
	var leader *Member
	c.Until(ctx, "somebody leads", func() bool {
		for _, name := range c.Running() {
			m := c.Member(name)
			if s := m.Status(); s.Leader == 0 || s.Leader != s.Self.ID {
				continue
			}
			short, cancel := context.WithTimeout(ctx, time.Second)
			_, err := m.ReadIndex(short)
			cancel()
			if s := m.Status(); err == nil && s.Leader == s.Self.ID {
				leader = m
				return true
			}
		}
		return false
	})
	return leader
}

// Others lists the running members but for those named.
func (c *Cluster) Others(names ...string) []string {
	return slices.DeleteFunc(c.Running(), func(n string) bool { return slices.Contains(names, n) })
}

// Agree waits until all running members have applied the same index, and ends
// the test if one has stopped or if journals differ.
func (c *Cluster) Agree(ctx context.Context) {
	c.t.Helper()
	c.Until(ctx, "all members have applied the same", func() bool {
		var first uint64
		for i, name := range c.Running() {
			m := c.Member(name)
			if err := m.Err(); err != nil {
				c.t.Fatalf("%s has stopped: %v", name, err)
			}
			s := m.Status()
			if i == 0 {
				first = s.Applied
			}
			if s.Applied != first || s.Applied < s.Committed || s.Applied == 0 {
				return false
			}
		}
		return true
	})
	if err := c.compareJournals(); err != nil {
		c.t.Fatal(err)
	}
}

// compareJournals makes sure that no two members' journals ever differed: one
// of them must begin with the other.
func (c *Cluster) compareJournals() error {
	c.mu.Lock()
	var longest *Member
	var all []*Member
	for _, m := range c.members {
		if m.Journal() == nil {
			continue
		}
		all = append(all, m)
		if longest == nil || len(m.Journal().Commands()) > len(longest.Journal().Commands()) {
			longest = m
		}
	}
	c.mu.Unlock()
	for _, m := range all {
		whole := longest.Journal().Commands()
		for i, x := range m.Journal().Commands() {
			if i < len(whole) && x != whole[i] {
				return fmt.Errorf("command %d differs: %s applied %q at index %d, %s %q at index %d",
					i+1, m.Name, x.Command, x.Index, longest.Name, whole[i].Command, whole[i].Index)
			}
		}
	}
	return nil
}

// Describe says for each running member where it stands and what it waits for.
func (c *Cluster) Describe() string {
	var b strings.Builder
	for _, name := range c.Running() {
		m := c.Member(name)
		s := m.Status()
		fmt.Fprintf(&b, "%s: %s %s %s, term %d, leader %s, applied %d of %d committed", name, s.Stage, s.State, s.Self.Role, s.Term, s.Leader, s.Applied, s.Committed)
		if err := m.Err(); err != nil {
			fmt.Fprintf(&b, ", stopped: %v", err)
		}
		b.WriteByte('\n')
		for _, r := range m.Why() {
			fmt.Fprintf(&b, "\t%s: %s\n", r.Code, r.Text)
		}
	}
	return b.String()
}

// Reasons lists the codes of a member's Why.
func Reasons(why []event.Reason) []string {
	codes := make([]string, len(why))
	for i, r := range why {
		codes[i] = r.Code
	}
	return codes
}
