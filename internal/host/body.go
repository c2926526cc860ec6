package host

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/replica"
	"github.com/musterhq/muster/internal/wire"
)

// body is the host as its member sees it. Its methods run on the loop.
type body Host

var _ member.Body = (*body)(nil)

// Send implements member.Network.
func (b *body) Send(to cluster.NodeID, batch *wire.Batch) { b.tr.Send(to, batch) }

// SetPeers implements member.Network.
func (b *body) SetPeers(addrs map[cluster.NodeID]string) { b.tr.SetPeers(addrs) }

// Call implements member.Network.
func (b *body) Call(addr string, to cluster.NodeID, req wire.Request, patience time.Duration, done func(wire.Response, wire.Hello, error)) {
	h := (*Host)(b)
	h.spawn(func() {
		ctx, cancel := context.WithTimeout(h.ctx, patience)
		defer cancel()
		resp, hello, err := h.tr.Call(ctx, addr, to, req)
		h.call(func() { done(resp, hello, err) })
	})
}

// Append implements member.Workers.
func (b *body) Append(j member.AppendJob) { b.appends.put(j) }

// Apply implements member.Workers.
func (b *body) Apply(j member.ApplyJob) { b.applies.put(j) }

// Later implements member.Workers.
func (b *body) Later(work, done func()) {
	h := (*Host)(b)
	h.spawn(func() {
		work()
		h.call(done)
	})
}

// Changed implements member.Watcher.
func (b *body) Changed(v *member.View) { b.live.show(v) }

// Progress implements member.Watcher.
func (b *body) Progress(applied, committed uint64) {
	b.live.applied.Store(applied)
	b.live.committed.Store(committed)
}

// Dropped finishes proposals that a leader did not take.
func (b *body) Dropped(d replica.Dropped) {
	err := errRejected
	if d.Overloaded {
		err = ErrOverloaded
	}
	for i := range d.Count {
		if p := b.waiters.take(d.First + i); p != nil {
			p.Finish(nil, err)
		}
	}
}

// Released implements member.Watcher.
func (b *body) Released(r replica.ReadDone) {
	if x := b.reading[r.Token]; x != nil {
		delete(b.reading, r.Token)
		x.finish(r.Index, nil)
	}
}

// Emit implements member.Watcher.
func (b *body) Emit(e event.Event) { (*Host)(b).emit(e) }

// Warn implements member.Watcher.
func (b *body) Warn(text string, err error) { b.log.Warn(text, "err", err) }

// Fail implements member.Watcher.
func (b *body) Fail(err error) { (*Host)(b).fail(err) }

// raftLogger passes raft's own words on as debug lines: what matters to an
// operator is told by events.
type raftLogger struct{ log *slog.Logger }

func (l raftLogger) say(v ...any)                { l.log.Debug("raft: " + fmt.Sprint(v...)) }
func (l raftLogger) sayf(f string, v ...any)     { l.log.Debug("raft: " + fmt.Sprintf(f, v...)) }
func (l raftLogger) Debug(v ...any)              {}
func (l raftLogger) Debugf(f string, v ...any)   {}
func (l raftLogger) Info(v ...any)               { l.say(v...) }
func (l raftLogger) Infof(f string, v ...any)    { l.sayf(f, v...) }
func (l raftLogger) Warning(v ...any)            { l.say(v...) }
func (l raftLogger) Warningf(f string, v ...any) { l.sayf(f, v...) }
func (l raftLogger) Error(v ...any)              { l.say(v...) }
func (l raftLogger) Errorf(f string, v ...any)   { l.sayf(f, v...) }
func (l raftLogger) Fatal(v ...any)              { panic(fmt.Sprint(v...)) }
func (l raftLogger) Fatalf(f string, v ...any)   { panic(fmt.Sprintf(f, v...)) }
func (l raftLogger) Panic(v ...any)              { panic(fmt.Sprint(v...)) }
func (l raftLogger) Panicf(f string, v ...any)   { panic(fmt.Sprintf(f, v...)) }
