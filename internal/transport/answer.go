package transport

import (
	"bufio"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/musterhq/muster/internal/wire"
)

// maxAnswering bounds the questions of one peer that are looked at at once.
const maxAnswering = 64

// answering is what is under way on one accepted connection for questions.
type answering struct {
	t    *Transport
	c    *conn
	peer wire.Hello
	ctx  context.Context
	wg   sync.WaitGroup

	writing sync.Mutex
	write   func([]byte) error

	mu    sync.Mutex
	under map[uint64]context.CancelFunc
}

// serveQuestions answers until the connection ends, and then waits for those
// who look at a question yet.
func (t *Transport) serveQuestions(c *conn, peer wire.Hello) error {
	if err := c.SetDeadline(time.Time{}); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(t.ctx)
	a := &answering{t: t, c: c, peer: peer, ctx: ctx, write: t.writer(c), under: map[uint64]context.CancelFunc{}}
	defer a.wg.Wait()
	defer c.Close()
	defer cancel()
	a.wg.Go(a.beat)
	in := bufio.NewReaderSize(c, 16<<10)
	for {
		kind, payload, err := wire.ReadFrame(in, nil, wire.MaxQuestion+16)
		if err != nil {
			return fmt.Errorf("read questions: %w", err)
		}
		q, err := wire.DecodeQuestion(payload)
		switch {
		case err != nil:
			return fmt.Errorf("read questions: %w", err)
		case kind == wire.KindQuestion:
			a.take(q)
		case kind == wire.KindGivenUp:
			a.drop(q.Number)
		default:
			return fmt.Errorf("read questions: %w: kind %d", wire.ErrCorruptFrame, kind)
		}
	}
}

// beat shows the asker that this node is there, also while it answers nothing.
func (a *answering) beat() {
	for pause(a.ctx, a.t.cfg.KeepAlive) {
		if a.say(wire.AppendFrame(nil, wire.KindAnswer, nil)) != nil {
			return
		}
	}
}

func (a *answering) take(q wire.Question) {
	ctx, cancel := context.WithCancel(a.ctx)
	a.mu.Lock()
	busy := len(a.under) >= maxAnswering
	if !busy {
		a.under[q.Number] = cancel
	}
	a.mu.Unlock()
	if busy {
		cancel()
		_ = a.say(wire.AppendAnswer(nil, wire.Answer{Number: q.Number, Verdict: wire.Busy, Body: fmt.Appendf(nil, "%d questions are looked at already", maxAnswering)}))
		return
	}
	a.wg.Go(func() {
		defer cancel()
		answer := a.t.cfg.Handler.Question(ctx, a.peer, q.Body)
		a.mu.Lock()
		delete(a.under, q.Number)
		a.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
		answer.Number = q.Number
		if len(answer.Body) > wire.MaxQuestion {
			answer.Verdict, answer.Body = wire.Failed, fmt.Appendf(nil, "the answer has %d bytes, more than %d", len(answer.Body), wire.MaxQuestion)
		}
		_ = a.say(wire.AppendAnswer(nil, answer))
	})
}

func (a *answering) drop(number uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if cancel := a.under[number]; cancel != nil {
		cancel()
	}
}

// say writes a frame whole, or ends the connection.
func (a *answering) say(frame []byte) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	err := a.write(frame)
	if err != nil {
		a.c.Close()
	}
	return err
}
