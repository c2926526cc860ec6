package formation

import (
	"fmt"
	"strings"
)

// story tells how the place in slot was come to, one step a line.
func (x *explorer) story(slot uint32) string {
	var b strings.Builder
	p := x.first()
	for i, k := range x.seen.way(slot)[1:] {
		var next *place
		var w *walker
		w = x.newWalker(func(n *step) {
			if next == nil && key(n.sum) == k {
				next = &place{}
				w.place(n, next)
				fmt.Fprintf(&b, "%3d. %s\n", i+1, x.tell(w.p, n))
			}
		})
		w.walk(p)
		if next == nil {
			return b.String() + "the story can't be told: a step was not found again\n"
		}
		p = next
	}
	return b.String()
}

// tell says what a step was.
func (x *explorer) tell(p *place, n *step) string {
	host, old := x.hosts[n.host], p.nodes[n.host]
	var parts []string
	parts = append(parts, host+" "+x.cause(old, n))
	if !same(old.n.disk, n.to.n.disk) && n.input&kinds != wiped {
		parts = append(parts, "saves "+describe(n.to.n.disk))
	}
	for _, a := range n.added {
		if text := x.sends(a); text != "" {
			parts = append(parts, text)
		}
	}
	if n.input >= thenCrash {
		parts = append(parts, "restarts before anything leaves it")
	}
	return strings.Join(parts, "; ")
}

// cause says what happened to the node.
func (x *explorer) cause(s *nodeState, n *step) string {
	in := n.input
	if in >= thenCrash {
		in -= thenCrash
	}
	switch in & kinds {
	case arrives:
		return x.receives(x.notes[in&^kinds])
	case blank:
		d := diskNumber(in)
		return fmt.Sprintf("sees %s/%02x in no cluster", x.hosts[d.host], x.incarnation(d)[0])
	case silent:
		return fmt.Sprintf("gets no answer from %s", x.hosts[in&^kinds])
	case tries:
		return "loses patience"
	case restart:
		return "restarts"
	case moved:
		return fmt.Sprintf("is moved to %s, and a blank one comes up, %02x", x.hosts[x.spare], n.to.n.cfg.Self.Incarnation[0])
	case word:
		return "gives up its genesis, as an operator says"
	}
	return fmt.Sprintf("is wiped, and is %02x now", n.to.n.cfg.Self.Incarnation[0])
}

func (x *explorer) receives(n *note) string {
	from := n.msg.from
	switch q, y := n.msg.req, n.msg.resp; {
	case n.kind == isSight:
		how := "sees"
		if y.Probe == nil {
			how = "is told by"
		}
		return fmt.Sprintf("%s %s that it is in %s", how, from, x.known(n.msg.hello.ClusterID).name())
	case q != nil && q.Prepare != nil:
		return fmt.Sprintf("is asked by %s for promise %s", from, ballot(n.ballot))
	case q != nil && q.Accept != nil:
		return fmt.Sprintf("is asked by %s to accept %s %s", from, ballot(n.ballot), short(q.Accept.Genesis))
	case q != nil && q.Commit != nil:
		return fmt.Sprintf("is told by %s to commit %s", from, short(q.Commit.Genesis))
	case q != nil:
		return fmt.Sprintf("is asked by %s to let it in", from)
	case y.Promise != nil:
		return fmt.Sprintf("has the promises, that of %s last", from)
	case y.Accept != nil:
		return fmt.Sprintf("has the acceptances, that of %s last", from)
	}
	return "is let in by " + from
}

func (x *explorer) sends(n *note) string {
	switch q, y := n.msg.req, n.msg.resp; {
	case n.kind > isAnswer:
		return ""
	case q != nil && q.Prepare != nil:
		return fmt.Sprintf("asks %s/%02x for promise %s", n.msg.to, q.Prepare.To[0], ballot(n.ballot))
	case q != nil && q.Accept != nil:
		return fmt.Sprintf("asks %s/%02x to accept %s", n.msg.to, q.Accept.To[0], short(q.Accept.Genesis))
	case q != nil && q.Commit != nil:
		return fmt.Sprintf("tells %s to commit", n.msg.to)
	case q != nil:
		return fmt.Sprintf("asks %s to be let in", n.msg.to)
	case y.Promise != nil && y.Promise.Genesis != nil:
		return fmt.Sprintf("promises %s, having accepted %s %s", ballot(n.ballot), ballot(y.Promise.Accepted), short(y.Promise.Genesis))
	case y.Promise != nil:
		return fmt.Sprintf("promises %s", ballot(n.ballot))
	case y.Accept != nil:
		return fmt.Sprintf("accepts at %s", ballot(n.ballot))
	}
	return "lets " + n.msg.to + " in"
}
