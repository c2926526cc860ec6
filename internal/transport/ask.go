package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// askIdle is how long a connection for questions is kept without any.
const askIdle = 30 * time.Second

// ErrNoPeer says that a node is not in the set of peers.
var ErrNoPeer = errors.New("no peer of this node")

// Ask puts a question of at most [wire.MaxQuestion] bytes to a peer of the set,
// on a connection that all questions to it share and that is dialled when there
// is none. With an error, sent tells whether the peer may have got it.
func (t *Transport) Ask(ctx context.Context, to cluster.NodeID, question []byte) (a wire.Answer, sent bool, err error) {
	ctx, leave, err := t.enter(ctx)
	if err != nil {
		return wire.Answer{}, false, err
	}
	defer leave()
	t.mu.Lock()
	p := t.peers[to]
	t.mu.Unlock()
	if p == nil {
		return wire.Answer{}, false, fmt.Errorf("%s is %w", to, ErrNoPeer)
	}
	for {
		l, err := p.askLink(ctx)
		if err != nil {
			return wire.Answer{}, false, err
		}
		a, sent, err := l.ask(ctx, question)
		if errors.Is(err, errLinkEnded) && !sent {
			continue // it ended between two questions
		}
		return a, sent, err
	}
}

// asks is how questions are put to one peer.
type asks struct {
	dial chan struct{} // capacity 1: held by who looks for the link, or makes it
	link *askLink      // nil: none yet; guarded by dial
}

func newAsks() asks { return asks{dial: make(chan struct{}, 1)} }

// askLink is the connection for questions to p, dialled if there is none.
func (p *peer) askLink(ctx context.Context) (*askLink, error) {
	select {
	case p.asks.dial <- struct{}{}:
		defer func() { <-p.asks.dial }()
	case <-ctx.Done():
		return nil, fmt.Errorf("connect to %s: %w", p.id, context.Cause(ctx))
	}
	addr := p.address()
	if l := p.asks.link; l != nil && l.usable(addr) {
		return l, nil
	}
	c, _, err := p.t.connect(ctx, addr, wire.ForQuestions, p.id)
	if err != nil {
		return nil, err
	}
	l := &askLink{c: c, addr: addr, write: p.t.writer(c), waiting: map[uint64]chan wire.Answer{}, used: time.Now(), done: make(chan struct{})}
	p.t.mu.Lock()
	defer p.t.mu.Unlock()
	if p.t.closed || p.ctx.Err() != nil {
		c.Close()
		return nil, ErrClosed
	}
	p.asks.link = l
	stop := context.AfterFunc(p.ctx, func() { c.Close() })
	p.t.goLocked(func() {
		defer stop()
		l.end(l.read(p.t.cfg.IdleTimeout))
	})
	return l, nil
}

// errLinkEnded says that a connection for questions was at its end before the
// question was written.
var errLinkEnded = errors.New("connection ended")

// askLink is one connection for questions.
type askLink struct {
	c    *conn
	addr string
	done chan struct{} // closed when no answer comes any more

	writing sync.Mutex
	write   func([]byte) error

	mu      sync.Mutex
	last    uint64 // number given out
	waiting map[uint64]chan wire.Answer
	used    time.Time
	ended   bool
	err     error // valid once done is closed
}

func (l *askLink) usable(addr string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.addr != addr && !l.ended {
		l.ended = true
		l.c.Close()
	}
	return !l.ended
}

func (l *askLink) ask(ctx context.Context, question []byte) (a wire.Answer, sent bool, err error) {
	answer := make(chan wire.Answer, 1)
	l.mu.Lock()
	if l.ended {
		l.mu.Unlock()
		return wire.Answer{}, false, errLinkEnded
	}
	l.last++
	number := l.last
	l.waiting[number] = answer
	l.mu.Unlock()
	defer l.forget(number)
	if err := l.say(wire.AppendQuestion(nil, wire.Question{Number: number, Body: question})); err != nil {
		l.c.Close() // half of a frame may be written
		return wire.Answer{}, true, fmt.Errorf("%s: ask: %w", l.addr, err)
	}
	select {
	case a := <-answer:
		return a, true, nil
	case <-l.done:
		select {
		case a := <-answer:
			return a, true, nil
		default:
			return wire.Answer{}, true, l.err
		}
	case <-ctx.Done():
		_ = l.say(wire.AppendGivenUp(nil, number)) // saves the peer work, at best
		return wire.Answer{}, true, fmt.Errorf("%s: asked, and no answer: %w", l.addr, context.Cause(ctx))
	}
}

func (l *askLink) say(frame []byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.write(frame)
}

func (l *askLink) forget(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.waiting, number)
	l.used = time.Now()
}

// read hands answers to those who wait for them, until the connection ends,
// nothing comes on it any more, or nobody has used it for long.
func (l *askLink) read(patience time.Duration) error {
	in := bufio.NewReaderSize(l.c, 16<<10)
	for !l.idle() {
		if err := l.c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		kind, payload, err := wire.ReadFrame(in, nil, wire.MaxQuestion+16)
		switch {
		case isTimeout(err):
			return fmt.Errorf("%s: silent for %s: %w", l.addr, patience, err)
		case err != nil:
			return fmt.Errorf("%s: connection lost: %w", l.addr, err)
		case kind != wire.KindAnswer:
			return fmt.Errorf("%s: %w: kind %d in place of an answer", l.addr, wire.ErrCorruptFrame, kind)
		case len(payload) == 0:
			continue
		}
		a, err := wire.DecodeAnswer(payload)
		if err != nil {
			return fmt.Errorf("%s: %w", l.addr, err)
		}
		l.mu.Lock()
		waiter := l.waiting[a.Number]
		delete(l.waiting, a.Number)
		l.mu.Unlock()
		if waiter != nil {
			waiter <- a
		}
	}
	return errLinkEnded
}

// idle ends a connection that nobody has used for long.
func (l *askLink) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 && time.Since(l.used) >= askIdle {
		l.ended = true
	}
	return l.ended
}

func (l *askLink) end(err error) {
	l.c.Close()
	l.mu.Lock()
	l.ended, l.err = true, err
	l.mu.Unlock()
	close(l.done)
}
