package roster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
)

// TestStories plays testdata. A member is a line of input:
//
//	NAME voter|learner [leader] [down[=TICKS]] [ticks=N] [behind[=N]] [match=N] [snapshot]
//	     [unseen] [stopping] [zone=Z] [replaces=NUMBER] [name=N] [announced] [wanted]
//
// A member is active for 100 ticks and caught up unless its line says
// otherwise; its ID is its number. Commands, with members as input:
//
//	plan [target=N] [floor=N] [expiry=N] [dead=N] [remove=N] [tick=DURATION]
//	     [lead=(ZONE,…)] [joint] [pending] [paused] [removed=N]
//	settle (as plan: applies plans until none comes)
//	remove NUMBER [below-floor] (as plan)
//	stand-down NUMBER (as plan)
//	promote NUMBER (as plan)
//	foresee [KEY=VALUE of cluster.Policy …]; the input's first line is what is
//	supposed; a tick is a second
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var b strings.Builder
			if d.Cmd == "foresee" {
				foresee(t, &b, d)
				return b.String()
			}
			s, p := parse(t, d)
			switch d.Cmd {
			case "plan":
				c, why := Plan(s, p)
				show(&b, c, why)
			case "settle":
				settle(&b, s, p)
			case "remove":
				answer(&b)(PlanRemove(s, p, number(d), d.HasArg("below-floor")))
			case "stand-down":
				answer(&b)(PlanStandDown(s, p, number(d)))
			case "promote":
				answer(&b)(PlanPromote(s, p, number(d)))
			default:
				t.Fatalf("unknown command %s", d.Cmd)
			}
			return b.String()
		})
	})
}

func number(d *datadriven.TestData) cluster.NodeID {
	var n uint64
	fmt.Sscan(d.CmdArgs[0].Key, &n)
	return cluster.NodeID(n)
}

func answer(b *strings.Builder) func(Change, *event.Reason) {
	return func(c Change, why *event.Reason) {
		var all Why
		if why != nil {
			all = Why{*why}
		}
		show(b, c, all)
	}
}

func parse(t *testing.T, d *datadriven.TestData) (Seen, Policy) {
	s, p := Seen{LastIndex: 1000}, Policy{}
	for _, a := range d.CmdArgs {
		n := 0
		if len(a.Vals) > 0 {
			fmt.Sscan(a.Vals[0], &n)
		}
		switch a.Key {
		case "target":
			p.TargetVoters = n
		case "expiry":
			p.LearnerExpiryTicks = n
		case "floor":
			p.Floor = n
		case "dead":
			p.DeadTicks = n
		case "remove":
			p.RemoveTicks = n
		case "tick":
			if err := p.Tick.UnmarshalText([]byte(a.Vals[0])); err != nil {
				t.Fatal(err)
			}
		case "lead":
			p.LeaderZones = a.Vals
		case "joint":
			s.Joint = true
		case "pending":
			s.Pending = true
		case "paused":
			s.Paused = "by hand"
		case "removed":
			s.Removed = append(s.Removed, cluster.NodeID(n))
		}
	}
	for line := range strings.Lines(d.Input) {
		f := strings.Fields(line)
		m := MemberSeen{Match: 1000, Active: true, ActiveTicks: 100, CaughtUp: true}
		m.Member.Name = f[0]
		fmt.Sscanf(f[0], "n%d", &m.Member.ID)
		for _, w := range f[1:] {
			key, val, _ := strings.Cut(w, "=")
			n := 50
			if val != "" {
				fmt.Sscan(val, &n)
			}
			switch key {
			case "voter":
				m.Member.Role = cluster.Voter
			case "learner":
				m.Member.Role = cluster.Learner
			case "leader":
				s.Leader = m.Member.ID
			case "down":
				m.Active, m.ActiveTicks, m.SilentTicks = false, 0, n
			case "ticks":
				m.ActiveTicks = n
			case "behind":
				m.CaughtUp, m.Match = false, uint64(1000-n)
			case "match":
				m.Match = uint64(n)
			case "snapshot":
				m.Snapshotting = true
			case "unseen":
				m.Unseen, m.Match = true, 0
			case "stopping":
				m.Stopping = true
			case "zone":
				m.Member.Zone = val
			case "announced":
				m.Member.Wanted = cluster.Learner
			case "wanted":
				m.Member.Wanted = cluster.Voter
			case "replaces":
				m.Member.Replaces = cluster.NodeID(n)
			case "name":
				m.Member.Name = val
			default:
				t.Fatalf("unknown word %s", w)
			}
		}
		s.Members = append(s.Members, m)
	}
	return s, p
}

func show(b *strings.Builder, c Change, why []event.Reason) {
	if c.Empty() {
		b.WriteString("nothing\n")
	} else {
		fmt.Fprintln(b, c.words())
	}
	reasons(b, why)
}

func reasons(b *strings.Builder, why []event.Reason) {
	for _, r := range why {
		fmt.Fprintf(b, "  [%s] %s", r.Code, r.Text)
		if r.WayOut != "" {
			fmt.Fprintf(b, " -> %s", r.WayOut)
		}
		b.WriteString("\n")
	}
}

func (c Change) words() string {
	var parts []string
	for _, x := range []struct {
		verb string
		ids  []cluster.NodeID
	}{{"promote", c.Promote}, {"demote", c.Demote}, {"remove", c.Remove}} {
		for _, id := range x.ids {
			parts = append(parts, fmt.Sprintf("%s n%d", x.verb, id))
		}
	}
	if c.Lead != 0 {
		parts = append(parts, fmt.Sprintf("n%d leads", c.Lead))
	}
	return strings.Join(parts, ", ")
}

func foresee(t *testing.T, b *strings.Builder, d *datadriven.TestData) {
	edits := map[string]string{}
	for _, a := range d.CmdArgs {
		edits[a.Key] = strings.Join(a.Vals, ",")
	}
	p, err := cluster.Policy{}.Edited(edits)
	if err != nil {
		t.Fatal(err)
	}
	d.CmdArgs = nil
	suppose, members, _ := strings.Cut(d.Input, "\n")
	d.Input = members
	s, _ := parse(t, d)
	f, err := Foresee(s, p, cluster.Duration(time.Second), strings.TrimSpace(strings.TrimPrefix(suppose, "if")))
	if err != nil {
		fmt.Fprintf(b, "error: %v\n", err)
		return
	}
	fmt.Fprintf(b, "before: %+v\n", f.Before)
	if f.Refused != nil {
		show(b, Change{}, Why{*f.Refused})
	}
	for i, step := range f.Changes {
		fmt.Fprintf(b, "%d. %s\n", i+1, step.Text)
		reasons(b, step.Why)
	}
	fmt.Fprintf(b, "after:  %+v\n", f.After)
	reasons(b, f.Waiting)
}

// settle applies plans until there is nothing to do.
func settle(b *strings.Builder, s Seen, p Policy) {
	for range 20 {
		c, why := Plan(s, p)
		show(b, c, why)
		if c.Empty() {
			return
		}
		s = apply(s, c)
	}
	b.WriteString("never comes to rest\n")
}
