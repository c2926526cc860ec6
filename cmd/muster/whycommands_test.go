package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/mustertest"
	"github.com/musterhq/muster/server"
)

// commandCases are what other commands show where something is held back, and
// ways out that take a command.
var commandCases = []commandCase{
	{"genesis_abandoned", "the way out of accepted_genesis_blocks", genesisAbandoned},
	{"remove_below_floor", "a removal is refused: fewer voters than the floor would be left", removeBelowFloor},
	{"plan_zones", "what is planned where a zone has most of the votes, and a member joins in another", planZones},
	{"plan_paused", "what is planned while it is paused, and how that ends", planPaused},
	{"members_announced", "members that were announced, of which one has come", membersAnnounced},
	{"members_wiped", "two members of one name, one of which replaces the other", membersWiped},
}

type commandCase struct {
	name  string // of the file
	about string // one line
	tell  func(t *testing.T) *operator
}

// TestCommandScreens compares each with its file.
func TestCommandScreens(t *testing.T) {
	for _, x := range commandCases {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := x.tell(t)
				compare(t, filepath.Join(goldenDir, x.name+".txt"), x.about, strings.TrimLeft(o.text(), "\n"))
			})
		})
	}
}

// operator gives commands to members, and keeps what they show.
type operator struct {
	t   *testing.T
	c   *mustertest.Cluster
	out bytes.Buffer
	ids map[cluster.NodeID]string
}

// at notes a command line, and whose IDs to leave out.
func (o *operator) at(name, format string, args ...any) *mustertest.Member {
	fmt.Fprintf(&o.out, "\n$ muster %s --endpoint %s:2379\n", fmt.Sprintf(format, args...), name)
	m := o.c.Member(name)
	if o.ids == nil {
		o.ids = map[cluster.NodeID]string{}
	}
	for _, x := range m.Status().Members {
		digits := strings.TrimPrefix(x.Name, "n")
		id := strings.Repeat(digits, 16)
		if x.Replaces != 0 {
			id = id[1:] + "b"
		}
		o.ids[x.ID] = id
		if x.Alias != 0 {
			o.ids[x.Alias] = strings.Repeat("a"+digits, 8)
		}
	}
	for _, a := range m.Status().Announced {
		o.ids[a.ID] = strings.Repeat("a"+strings.TrimPrefix(a.Addrs()[0], "n")[:1], 8)
	}
	return m
}

// text is all that was shown, with IDs that don't differ from run to run.
func (o *operator) text() string {
	text := same(o.out.String())
	for id, than := range o.ids {
		text = strings.ReplaceAll(text, id.String(), than)
	}
	return text
}

// done shows how a command ended.
func (o *operator) done(err error, text string) {
	if err == nil {
		fmt.Fprintln(&o.out, text)
		return
	}
	(&app{err: &o.out}).complain(err)
	fmt.Fprintf(&o.out, "(exit code %d)\n", codeOf(err))
}

func (o *operator) why(name string) {
	answer := server.Explain(o.t.Context(), o.at(name, "why").Node, true)
	tidy(&answer)
	printWhy(&o.out, name+":2379", answer)
}

func (o *operator) plan(name, suppose string) {
	line := "plan"
	if suppose != "" {
		line += fmt.Sprintf(" --if '%s'", suppose)
	}
	p, err := o.at(name, "%s", line).Plan(o.t.Context(), suppose)
	if err != nil {
		o.t.Fatal(err)
	}
	byText := func(a, b event.Reason) int { return strings.Compare(a.Text, b.Text) }
	slices.SortFunc(p.Waiting, byText)
	for _, step := range p.Changes {
		slices.SortFunc(step.Why, byText)
	}
	printPlan(&o.out, p)
}

// remove asks the member that leads.
func (o *operator) remove(name, who string) {
	m := o.at(name, "remove %s", who)
	err := m.Remove(o.t.Context(), o.c.Member(who).Status().Self.ID)
	if err != nil {
		err = fmt.Errorf("remove %s: %w", who, err)
	}
	o.done(err, who+" was removed")
}

func (o *operator) members(name string) {
	printMembers(&o.out, memberRows(o.at(name, "members").Status()))
}

func (o *operator) policy(name, line string, settings map[string]string) {
	err := o.at(name, "%s", line).SetPolicy(o.t.Context(), settings, "")
	o.done(err, event.PolicyChanged{Settings: settings}.Text())
}

func (o *operator) abandon(name string, gone ...string) {
	err := o.at(name, "abandon-genesis --gone %s", strings.Join(gone, ",")).AbandonGenesis(o.t.Context(), gone)
	if err != nil {
		err = fmt.Errorf("abandon the genesis: %w", err)
	}
	o.done(err, name+" has given up the genesis that it had accepted")
}

func genesisAbandoned(t *testing.T) *operator {
	o := &operator{t: t, c: oneAccepted(t)}
	o.why("n1")
	o.abandon("n1", "n2")
	o.abandon("n2", "n3")
	o.abandon("n1", "n2", "n3")
	o.c.Ready(t.Context())
	lead(t, o.c, "n1")
	o.why("n1")
	return o
}

func removeBelowFloor(t *testing.T) *operator {
	o := &operator{t: t, c: led(t, mustertest.Options{})}
	o.c.Crash("n3")
	time.Sleep(5 * time.Second)
	o.plan("n1", "remove n3")
	o.remove("n1", "n3")
	o.c.Join(t.Context(), "n4")
	time.Sleep(5 * time.Second)
	o.plan("n1", "remove n3")
	o.remove("n1", "n3")
	return o
}

func planZones(t *testing.T) *operator {
	o := &operator{t: t, c: led(t, zoned(map[string]string{"n1": "east", "n2": "east", "n3": "west"}))}
	o.members("n1")
	o.plan("n1", "")
	o.plan("n1", "add north")
	return o
}

func planPaused(t *testing.T) *operator {
	o := &operator{t: t, c: led(t, mustertest.Options{})}
	o.policy("n1", "pause --because 'ask Ann'", map[string]string{"paused": "ask Ann"})
	o.c.Join(t.Context(), "n4")
	o.c.Join(t.Context(), "n5")
	time.Sleep(5 * time.Second)
	o.plan("n1", "")
	o.policy("n1", "resume", map[string]string{"paused": ""})
	o.plan("n1", "")
	return o
}

func membersAnnounced(t *testing.T) *operator {
	o := &operator{t: t, c: announcedPair(t)}
	o.members("n1")
	o.plan("n1", "")
	return o
}

func membersWiped(t *testing.T) *operator {
	o := &operator{t: t, c: wipedPair(t)}
	o.members("n1")
	o.plan("n1", "")
	return o
}
