package sim

import "container/heap"

// instant is virtual time, in microseconds since the world began.
type instant int64

// Durations, in the unit of instant.
const (
	millisecond instant = 1000
	second              = 1000 * millisecond
)

// turn is something that will happen.
type turn struct {
	at   instant
	seq  uint64 // breaks ties, in the order of scheduling
	what string // for the transcript
	who  *process
	do   func()
}

// agenda is the turns to come.
type agenda []*turn

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	if a[i].at != a[j].at {
		return a[i].at < a[j].at
	}
	return a[i].seq < a[j].seq
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(*turn)) }
func (a *agenda) Pop() any {
	old := *a
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*a = old[:len(old)-1]
	return e
}

// after schedules something of the world's.
func (w *World) after(d instant, what string, do func()) { w.schedule(d, what, nil, do) }

// schedule lets something happen d from now; not at all when the process who
// has ended by then, and later while it is paused.
func (w *World) schedule(d instant, what string, who *process, do func()) {
	w.seq++
	heap.Push(&w.agenda, &turn{at: w.now + max(d, 0), seq: w.seq, what: what, who: who, do: do})
}

// step lets the next thing happen; false when nothing is left.
func (w *World) step() bool {
	if w.agenda.Len() == 0 {
		return false
	}
	e := heap.Pop(&w.agenda).(*turn)
	w.now = e.at
	if p := e.who; p != nil {
		if p.dead {
			return true
		}
		if p.node.paused() {
			p.node.parked = append(p.node.parked, e)
			return true
		}
	}
	w.note(e)
	e.do()
	if e.who != nil {
		e.who.settle()
	}
	return true
}

// paused says that nothing happens on the node. What waits from a pause goes
// before what came later.
func (n *node) paused() bool { return n.pausedUntil > n.w.now || len(n.parked) > 0 }

// pause stops everything on the node for a while, or for longer than it was to
// be stopped already.
func (n *node) pause(d instant) {
	n.pausedUntil = max(n.pausedUntil, n.w.now+d)
	n.w.after(n.pausedUntil-n.w.now, "resume", func() {
		if n.pausedUntil <= n.w.now {
			n.resume()
		}
	})
}

// resume ends a pause: what waits happens now, in its order.
func (n *node) resume() {
	n.pausedUntil = 0
	parked := n.parked
	n.parked = nil
	for _, e := range parked {
		n.w.seq++
		e.at, e.seq = n.w.now, n.w.seq
		heap.Push(&n.w.agenda, e)
	}
}

// runUntil lets everything happen before t.
func (w *World) runUntil(t instant) {
	for w.failure == "" && w.agenda.Len() > 0 && w.agenda[0].at <= t {
		w.step()
	}
	if w.failure == "" {
		w.now = max(w.now, t)
	}
}
