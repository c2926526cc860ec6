package sim

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/internal/history"
	"github.com/musterhq/muster/kv"
	"github.com/musterhq/muster/statemachine"
)

// clients put, get and compare-and-set a few keys through any member, one
// operation after the other each.
type clients struct {
	w       *World
	ops     []*attempt // all of them, in order
	stopped bool
	asked   bool // they do nothing of their own accord
}

// attempt is one operation and what its client knows of it.
type attempt struct {
	w      *World
	op     history.Op
	cmd    []byte
	p      *process
	seq    uint64
	tries  int
	over   bool
	before uint64 // highest index that anybody knew to be committed when a read was asked for

	// Of a keyspace.
	req    proto.Message // nil: cmd is all that is known
	reply  kv.Reply
	answer string // as history.Answer has it
	since  int64  // revision when a read was asked for
	done   func(*attempt)
}

func (c *clients) start() {
	c.asked = false
	for i := range c.w.plan.clients {
		c.think(i)
	}
}

// think lets the client do something after a while.
func (c *clients) think(client int) {
	if c.asked {
		return
	}
	c.w.after(20*millisecond+c.w.jitter(300*millisecond), "client", func() {
		if !c.stopped {
			c.act(client)
		}
	})
}

const keys = 3

// act begins an operation on a member that can take it.
func (c *clients) act(client int) {
	up := c.w.running()
	up = slices.DeleteFunc(up, func(p *process) bool { return !p.m.InCluster() || p.node.paused() })
	if len(up) == 0 {
		c.think(client)
		return
	}
	p := up[c.w.rng.IntN(len(up))]
	if c.w.plan.keyspace {
		c.request(client, p)
		return
	}
	a := c.attempt(client, p)
	a.op.Key = fmt.Sprintf("k%d", c.w.rng.IntN(keys))
	switch x := c.w.rng.IntN(10); {
	case x < 4:
		a.op.Kind = history.Get
	case x < 8:
		a.op.Kind = history.Put
	default:
		a.op.Kind = history.CAS
		if v := c.w.truth.model.Values[a.op.Key]; c.w.rng.IntN(4) > 0 {
			a.op.Old = v // likely to win
		}
	}
	a.begin()
	c.w.after(500*millisecond+c.w.jitter(3*second), "client's patience", func() { a.giveUp() })
}

// attempt notes a new operation, which is called now.
func (c *clients) attempt(client int, p *process) *attempt {
	a := &attempt{w: c.w, p: p}
	a.op = history.Op{ID: len(c.ops) + 1, Client: client, Call: c.w.stamp(), Return: math.MaxInt64}
	a.op.Value = fmt.Sprint(a.op.ID)
	c.ops = append(c.ops, a)
	return a
}

func (a *attempt) begin() {
	a.tries++
	p := a.p
	if a.op.Kind == history.Get {
		a.before = a.w.truth.committed()
		if s := &p.view.Status; s.State == "leader" && a.w.truth.deposed(s.Term) {
			a.w.sometimes(staleLeaderAsked)
		}
		a.since = a.w.truth.keys.now.Rev
		a.seq = p.m.Read()
		p.reading[a.seq] = a
	} else {
		a.cmd = a.command()
		a.seq = p.m.Propose(a.cmd)
		p.waiting[a.seq] = a
	}
	p.m.Drive()
	p.settle()
}

// command is what is proposed.
func (a *attempt) command() []byte {
	switch {
	case a.req != nil:
		return numbered(a.op.ID, encode(a.req))
	case a.w.plan.keyspace:
		return a.cmd
	}
	return command{Op: a.op.ID, Kind: a.op.Kind, Key: a.op.Key, Value: a.op.Value, Old: a.op.Old}.encode()
}

// end closes the operation, as far as its client is concerned.
func (a *attempt) end(f history.Fate) {
	if a.over {
		return
	}
	a.over = true
	a.op.Fate = f
	if f == history.Happened {
		a.op.Return = a.w.stamp()
	}
	if a.done != nil {
		a.done(a)
		return
	}
	a.w.clients.think(a.op.Client)
}

// Finish implements member.Waiter: the machine has carried the command out.
func (a *attempt) Finish(r statemachine.Result, err error) {
	if a.over {
		return
	}
	if err != nil {
		a.end(history.Unknown)
		return
	}
	if reply, ok := r.(kv.Reply); ok {
		a.reply, a.answer = reply, history.Answer(reply.Response, reply.Err)
	} else {
		a.op.Won = r.(bool)
	}
	a.end(history.Happened)
}

// read is a linearizable read that may be answered now.
func (a *attempt) read(index uint64) {
	if a.over {
		return
	}
	if index < a.before {
		a.w.fail("%s answered a read at index %d, but %d was committed before it was asked for", a.p, index, a.before)
	}
	if a.done == nil && !a.p.regs.get(a) {
		a.never()
		return
	}
	a.end(history.Happened)
}

// rejected is a leader's word that it didn't take the command: it may be
// proposed again.
func (a *attempt) rejected(overloaded bool) {
	switch {
	case a.over:
	case overloaded || a.tries > 3 || !a.p.alive():
		a.end(history.DidNot)
	default:
		a.w.sometimes(forwardRejected)
		a.p.input("again", 0, func() {
			if !a.over {
				a.begin()
			}
		})
	}
}

// giveUp ends a client's patience.
func (a *attempt) giveUp() {
	switch {
	case a.over:
	case a.op.Kind == history.Get:
		if a.p.alive() && a.p.m != nil {
			a.p.m.WithdrawRead(a.seq)
		}
		delete(a.p.reading, a.seq)
		a.never()
	case !a.p.alive():
		a.unknown("its member is down")
	case a.p.waiting[a.seq] != a:
		a.end(history.DidNot) // rejected, and not proposed again yet
	case a.p.m.Withdraw(a.seq):
		delete(a.p.waiting, a.seq)
		a.end(history.DidNot)
	default:
		delete(a.p.waiting, a.seq)
		a.unknown("no answer in time")
	}
}

// unknown: handed on, and nobody knows.
func (a *attempt) unknown(string) { a.end(history.Unknown) }

// never is a read without an answer, which has no effect.
func (a *attempt) never() { a.end(history.DidNot) }

// sortedAttempts lists them by their numbers.
func sortedAttempts(m map[uint64]*attempt) []*attempt {
	return slices.SortedFunc(maps.Values(m), func(a, b *attempt) int { return cmp.Or(cmp.Compare(a.op.ID, b.op.ID), cmp.Compare(a.seq, b.seq)) })
}

// history is what clients saw, with what the log says of the rest.
func (c *clients) history(t *truth) []history.Op {
	var ops []history.Op
	for _, a := range c.ops {
		o := a.op
		applied, happened := t.applied[o.ID]
		switch {
		case o.Kind == history.Get:
		case t.lost[o.ID]:
			continue
		case o.Fate == history.DidNot && happened:
			c.w.fail("client %d was told that %s did not happen, but it is in the log at %d", o.Client, o, applied.index)
		case o.Fate == history.Happened && !happened:
			c.w.fail("client %d was told that %s happened, but it is not in the log", o.Client, o)
		case o.Fate == history.Happened && o.Won != applied.won:
			c.w.fail("%s: the member said %v, the log says %v", o, o.Won, applied.won)
		case o.Fate == history.Unknown && happened:
			o.Fate, o.Won = history.Happened, applied.won
			c.w.sometimes(unknownHappened)
		case o.Fate == history.Unknown:
			o.Fate = history.DidNot
			c.w.sometimes(unknownDidNot)
		}
		ops = append(ops, o)
	}
	return ops
}
