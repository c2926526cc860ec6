package lessor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/musterhq/muster/cluster"
)

// The questions of one member's keeper to another's: a kind byte, and the IDs of
// leases, 8 bytes each, big-endian. The answer has for each lease a verdict byte and
// 8 bytes of how many seconds it has; to askLeft 8 more of how many it was granted.
const (
	askRenew = 'r'
	askLeft  = 'l'
)

const (
	maxRenewals = 10_000          // that one question asks for
	askPatience = 3 * time.Second // for one question
)

func appendID(dst []byte, id int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(id)) }

func readID(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) }

var errQuestion = errors.New("leases: question not understood")

// Answer answers what another member's keeper asks.
func (k *Keeper) Answer(ctx context.Context, question []byte) ([]byte, error) {
	if len(question) < 1+8 || (len(question)-1)%8 != 0 {
		return nil, errQuestion
	}
	var ids []int64
	for b := question[1:]; len(b) > 0; b = b[8:] {
		ids = append(ids, readID(b))
	}
	term, leads := k.leads()
	if !leads {
		return nil, errNotHere
	}
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	switch question[0] {
	case askRenew:
		got, err := k.renewHere(ctx, term, ids)
		if err != nil {
			return nil, err
		}
		out := make([]byte, 0, len(got)*9)
		for _, r := range got {
			out = appendID(append(out, byte(r.Verdict)), r.TTL)
		}
		return out, nil
	case askLeft:
		a, err := k.leftHere(ctx, term, ids[0])
		if err != nil {
			return nil, err
		}
		return appendID(appendID([]byte{byte(a.Verdict)}, a.left), a.granted), nil
	}
	return nil, errQuestion
}

func (k *Keeper) ask(ctx context.Context, to cluster.NodeID, question []byte, size int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, min(askPatience, k.cfg.Patience))
	defer cancel()
	answer, err := k.cfg.Node.Ask(ctx, to, k.cfg.Frame(question))
	if err == nil && len(answer) != size {
		err = fmt.Errorf("leases: %s answers with %d bytes, want %d", to, len(answer), size)
	}
	return answer, err
}

func (k *Keeper) leftThere(ctx context.Context, leader cluster.NodeID, id int64) (span, error) {
	b, err := k.ask(ctx, leader, appendID([]byte{askLeft}, id), 17)
	if err != nil {
		return span{}, err
	}
	return span{Verdict(b[0]), readID(b[1:]), readID(b[9:])}, nil
}

// renewThere asks the leader to renew.
func (k *Keeper) renewThere(ctx context.Context, leader cluster.NodeID, ids []int64) ([]Renewal, error) {
	question := make([]byte, 0, 1+8*len(ids))
	question = append(question, askRenew)
	for _, id := range ids {
		question = appendID(question, id)
	}
	b, err := k.ask(ctx, leader, question, 9*len(ids))
	if err != nil {
		return nil, err
	}
	out := make([]Renewal, len(ids))
	for i := range out {
		out[i] = Renewal{Verdict(b[9*i]), readID(b[9*i+1:])}
	}
	return out, nil
}

// outbox gathers the renewals of many streams for one leader. One that comes alone
// is sent at once by who brings it. While a question is under way those that come
// wait, and go into the next one together.
type outbox struct {
	mu      sync.Mutex
	waiting []*request
	busy    bool // a question is under way
}

// request is some renewals that wait.
type request struct {
	leader cluster.NodeID
	ids    []int64
	done   chan struct{}
	got    []Renewal
	err    error
}

func (o *outbox) renew(ctx context.Context, k *Keeper, leader cluster.NodeID, ids []int64) ([]Renewal, error) {
	o.mu.Lock()
	if !o.busy {
		o.busy = true
		o.mu.Unlock()
		defer o.goOn(k)
		return k.renewThere(ctx, leader, ids)
	}
	r := &request{leader: leader, ids: ids, done: make(chan struct{})}
	o.waiting = append(o.waiting, r)
	o.mu.Unlock()
	select {
	case <-r.done:
		return r.got, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// goOn has those sent that came while a question was under way.
func (o *outbox) goOn(k *Keeper) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.busy = len(o.waiting) > 0 && k.spawn(func() { o.send(k) })
}

// send asks until nothing waits.
func (o *outbox) send(k *Keeper) {
	for {
		batch, ids := o.take()
		if len(batch) == 0 {
			return
		}
		got, err := k.renewThere(k.ctx, batch[0].leader, ids)
		for _, r := range batch {
			if r.err = err; err == nil {
				r.got, got = got[:len(r.ids)], got[len(r.ids):]
			}
			close(r.done)
		}
	}
}

// take takes what waits for the same leader, up to what one question holds.
func (o *outbox) take() (batch []*request, ids []int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	rest := o.waiting[:0]
	for _, r := range o.waiting {
		if len(batch) > 0 && (r.leader != batch[0].leader || len(ids)+len(r.ids) > maxRenewals) {
			rest = append(rest, r)
			continue
		}
		batch, ids = append(batch, r), append(ids, r.ids...)
	}
	clear(o.waiting[len(rest):])
	o.waiting = rest
	if len(batch) == 0 {
		o.busy = false
	}
	return batch, ids
}
