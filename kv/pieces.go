package kv

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// One small command can change every key there is. What it changes is not
// gathered until the end of the Apply call, but written in pieces: memory is
// bounded, and so is each of Pebble's batches, which end at 4 GiB with a panic.
//
// Nobody sees a piece before the call is over. Its versions are of a revision
// above the current one, which readers, hashes, purges and watches pass over;
// the batch that ends the call moves the revision and the applied index as
// always. Facts have no revisions: they wait for that batch, all of them.
//
// A crash may leave pieces of a call that never ended. Whoever opens a database
// finds it marked, and takes them back before anything else is done (see
// Store.takeBack). Then the log is applied again, as if there had been none.
// Nothing of the state depends on where pieces end: not revisions, nor the order
// of events, nor counts.
//
// A command that has written a piece can't be refused any more. Commands are
// refused before they write anything; see opOrder for the one that was not.

// pieceLimits say when the changes of one Apply call become a piece. Tests
// make them small.
type pieceLimits struct {
	first       int   // bytes of memory, about, at which a call begins to be written in pieces
	then        int   // and of the pieces that follow
	attachments int   // of keys to leases that one Apply call removes one by one; the others lease by lease
	previous    int64 // bytes of the keys and values that a command returns of what it changes
	singles     int   // such keys that it names one by one and that are not looked at for that

	step func(bytes int) error // called after each piece, if set
}

// The first limit is where what was changed is too much for the watches' memory,
// too. A later piece is small, since what it holds is in memory several times.
func defaultPieceLimits() pieceLimits {
	return pieceLimits{first: 8 << 20, then: 1 << 20, attachments: 64 << 10, previous: 1 << 30, singles: 32}
}

// room is how many bytes of changes the current piece still takes. What commands
// bring with them doesn't count: that is bounded by the log.
func (a *applier) room() int {
	if a.pieces > 0 {
		return a.limits.then - a.pend.grown
	}
	return a.limits.first - a.pend.grown
}

// relieve writes a piece if there is enough for one. Nothing that aliases what
// is pending may be used afterwards.
func (a *applier) relieve() error {
	if a.room() > 0 {
		return nil
	}
	return a.spill()
}

// spill writes what is pending as a piece.
func (a *applier) spill() error {
	if len(a.pend.changes) == 0 {
		return nil
	}
	st := *a.gen.state.Load()
	st.unfinished = true
	b := a.db.NewBatchWithSize(batchSize(a.pend.changes))
	defer closeQuietly(b)
	if err := a.enc.encode(b, a.pend.changes, &st); err != nil {
		return err
	}
	if err := a.apply(a.gen, b); err != nil {
		return fmt.Errorf("write a piece of revision %d: %w", a.begin+1, err)
	}
	a.pieces++
	a.recent.take(a.pend.changes)
	a.pend.reset()
	a.first = 0
	if step := a.limits.step; step != nil {
		if err := step(b.Len()); err != nil {
			return err
		}
	}
	return a.close() // its iterator doesn't see the piece
}

// apply writes a batch, and counts it.
func (a *applier) apply(g *generation, b *pebble.Batch) error {
	began := time.Now()
	if err := g.db.Apply(b, pebble.NoSync); err != nil {
		return err
	}
	if a.committed != nil {
		a.committed(time.Since(began))
	}
	g.pending.Add(int64(b.Len()))
	a.known.written.Add(int64(b.Len()))
	return nil
}

// takeBack removes the pieces of an Apply call that a crash cut short. They are
// found by the event log, which each piece brings with it. It takes about as long
// as the call had taken, and no memory. Cut short itself, it is repeated. On return it
// is durable: the applier looks for keys that it doesn't know in the tables alone.
func (s *Store) takeBack(g *generation) error {
	st := *g.state.Load()
	if !st.unfinished {
		return nil
	}
	if err := g.removeAfter(st.current); err != nil {
		return fmt.Errorf("database %s: take back what a crash left after revision %d: %w", g.name, st.current, err)
	}
	st.unfinished = false
	if err := g.db.Set(stateKey(), st.append(nil), pebble.NoSync); err != nil {
		return err
	}
	g.state.Store(&st)
	return s.flush(g)
}

// takeBackBatch is about the size of one batch, in bytes.
const takeBackBatch = 1 << 20

func (g *generation) removeAfter(current int64) (err error) {
	lower, upper := mvcc.AppendEventKey(nil, mvcc.Revision{Main: current + 1}), mvcc.AppendEventEnd(nil)
	it, err := g.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	b := g.db.NewBatch()
	defer func() {
		closeQuietly(b)
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	var key []byte
	for it.First(); it.Valid(); it.Next() {
		record, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		events, ok := mvcc.ReadEvents(it.Key(), record)
		for ok {
			var e mvcc.Event
			var more bool
			if e, more, ok = events.Next(); !ok || !more {
				break
			}
			key = mvcc.AppendSuffix(mvcc.AppendPrefix(key[:0], e.Key), e.Revision)
			if err := b.Delete(key, nil); err != nil {
				return err
			}
		}
		if !ok {
			return fmt.Errorf("damaged store: the event log's record %x can't be read", it.Key())
		}
		// With the last of its versions: what names them must not go before them.
		if err := b.Delete(it.Key(), nil); err != nil {
			return err
		}
		if b.Len() < takeBackBatch {
			continue
		}
		if err := g.db.Apply(b, pebble.NoSync); err != nil {
			return err
		}
		b.Reset()
	}
	if err := it.Error(); err != nil {
		return err
	}
	return g.db.Apply(b, pebble.NoSync)
}
