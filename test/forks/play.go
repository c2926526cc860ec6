package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/loopback"
	"github.com/musterhq/muster/internal/testproc"
)

// patience is how long to wait for what has to come.
const patience = time.Minute

// pace is how long to look for what should not happen.
type pace struct {
	watching time.Duration // while members are missing
	settling time.Duration // after the last one has come back
}

// thorough is many election timeouts of either system.
var thorough = pace{watching: 12 * time.Second, settling: 20 * time.Second}

// stage is one scenario being played.
type stage struct {
	*teller
	pace
	ctx    context.Context
	sys    system
	binary string
	nodes  []*node
	ports  loopback.Ports
}

// cannot is a panic value: the scenario could not be played to its end.
type cannot struct{ error }

// play plays one scenario and ends all processes of it.
func play(ctx context.Context, sys system, binary, name string, p pace, out io.Writer, logs bool) *Scenario {
	st := &stage{teller: newTeller(name, out), pace: p, ctx: ctx, sys: sys, binary: binary}
	dir, err := os.MkdirTemp("", "forks-"+sys.name()+"-"+name)
	if err != nil {
		st.verdict(Unplayed, err.Error())
		return st.s
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left there nobody needs
	defer st.ports.Release()
	st.run(map[string]func(dir string){"E1": st.e1, "E2": st.e2, "E3": st.e3}[name], dir)
	st.print()
	for _, n := range st.nodes {
		n.close()
		if logs && st.s.Verdict != Right && st.s.Verdict != NotApplicable {
			log := n.Said()
			fmt.Fprintf(out, "--- %s, the end of its log\n%s\n", n.Name, log[max(0, len(log)-4000):])
		}
	}
	return st.s
}

func (st *stage) run(scenario func(dir string), dir string) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case cannot:
			st.verdict(Unplayed, r.Error())
		default:
			panic(r)
		}
	}()
	scenario(dir)
}

// must ends the scenario if err is one.
func (st *stage) must(err error) {
	if err == nil {
		err = st.ctx.Err()
	}
	if err != nil {
		panic(cannot{err})
	}
}

// make chooses names, directories and ports for n nodes; it starts nothing.
func (st *stage) make(dir string, n int) {
	addrs, err := st.ports.ReserveAny(2 * n)
	st.must(err)
	for _, m := range testproc.Members(dir, addrs, []string{"a", "b", "c", "d", "e", "f"}[:n]...) {
		x, err := newNode(m, st.binary)
		st.must(err)
		st.nodes = append(st.nodes, x)
	}
}

// formed are three members with one list, and the ID of their cluster.
func (st *stage) formed(dir string) uint64 {
	st.make(dir, 3)
	for _, n := range st.nodes {
		n.args = st.sys.args(n, st.nodes)
		st.must(n.start())
	}
	a := st.nodes[0]
	st.did("start a, b and c, with these flags and the same list on each:\n%s %s", st.sys.name(), strings.Join(a.args, " "))
	var id uint64
	for _, n := range st.nodes {
		st.until(n.Name+" serves", func() bool {
			_, err := n.keys(st.ctx, false)
			if err != nil {
				return false
			}
			id, _, err = n.status(st.ctx)
			return err == nil
		})
	}
	st.saw("one cluster, %x", id)
	return id
}

// until waits for what has to come.
func (st *stage) until(what string, ok func() bool) {
	for end := time.Now().Add(patience); !ok(); st.pause(100 * time.Millisecond) {
		if time.Now().After(end) {
			st.must(fmt.Errorf("not within %v: %s", patience, what))
		}
		for _, n := range st.nodes {
			if n.ExitCode() == 2 {
				st.must(fmt.Errorf("%s did not start: %s", n.Name, n.lastWords()))
			}
		}
	}
}

// during calls look again and again for a while.
func (st *stage) during(d time.Duration, look func()) {
	for end := time.Now().Add(d); time.Now().Before(end); st.pause(250 * time.Millisecond) {
		look()
	}
}

func (st *stage) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-st.ctx.Done():
		st.must(st.ctx.Err())
	}
}

// fill puts n keys, each until it is acknowledged, through any of the nodes.
func (st *stage) fill(prefix string, n int, through ...*node) {
	for i := range n {
		key := fmt.Sprint(prefix, i)
		next := 0
		st.until("the write of "+key, func() bool {
			next++
			return through[next%len(through)].put(st.ctx, key, "value of "+key) == nil
		})
	}
}

// count is how many of the n keys of a prefix are there with their values.
func count(keys map[string]string, prefix string, n int) int {
	there := 0
	for i := range n {
		if key := fmt.Sprint(prefix, i); keys[key] == "value of "+key {
			there++
		}
	}
	return there
}

// why is what the node says that it waits for, in words, and the reasons in
// it; nothing where nobody can ask.
func (st *stage) why(n *node) (string, []event.Reason) {
	if !st.sys.tellsWhy() || !n.Running() {
		return "", nil
	}
	text, reasons, err := st.sys.why(st.ctx, st.binary, n)
	if err != nil {
		return "", nil
	}
	return text, reasons
}

// tellWhy shows the answer.
func (st *stage) tellWhy(n *node, text string) {
	if text != "" {
		st.saw("`%s why` of %s:\n%s", st.sys.name(), n.Name, text)
	}
}
