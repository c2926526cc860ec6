package kv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// purger deletes what compactions put out of reach, in the background, for as
// long as its database is live: versions that were superseded at or before
// the mark, tombstones before it, and the event log before it.
//
// It is the business of one member: neither how far it got nor when it ran
// changes anything that a read, a command or [Store.Hash] can tell. It keeps
// no record of its own either: the event log begins where it got to.
//
// Order makes it safe. A mark is acted on only after the readers that began
// before it are gone (see era). Of one key, older versions go no later than
// newer ones: whatever part of the deletes a flush or a crash leaves, the
// newest version of a key is never an outdated one.
//
// It works in small batches and rests between them, so that the applier's
// writes never queue behind it.
type purger struct {
	s    *Store
	g    *generation
	wake chan struct{} // holds one when the mark may have moved
	quit chan struct{} // closed to end it
	done chan struct{} // closed when it has ended
	seen uint64        // index that was applied at the last pause

	mu      sync.Mutex
	through int64         // what the mark of this revision excludes is gone
	moved   chan struct{} // closed, and replaced, when through moves
}

// purgeLimits are how large a bite the purger takes. Tests take smaller ones.
type purgeLimits struct {
	window int           // of the event log that is worked on at once, about; bytes of memory
	batch  int           // of one batch of deletes; bytes
	rest   time.Duration // least time between two batches

	step func(quit <-chan struct{}) error // called before each batch, if set
}

func defaultPurgeLimits() purgeLimits {
	return purgeLimits{window: 16 << 20, batch: 64 << 10, rest: time.Millisecond}
}

// startPurge starts the purger of a database that is about to become live.
func (s *Store) startPurge(g *generation) {
	g.purger = &purger{
		s: s, g: g, through: -1,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}), moved: make(chan struct{}),
	}
	g.purger.kick()
	go g.purger.run()
}

// kick says that the mark may have moved.
func (p *purger) kick() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// stop ends it and returns when it has ended: after the batch that it is at.
// The readers of the database must be gone.
func (p *purger) stop() {
	close(p.quit)
	<-p.done
}

var errPurgeStopped = errors.New("stopped")

func (p *purger) run() {
	defer close(p.done)
	for {
		select {
		case <-p.quit:
			return
		case <-p.wake:
		}
		mark := p.g.state.Load().compacted
		if mark <= p.through {
			continue
		}
		p.s.nextEra(p.g).Wait()
		err := p.purge(mark)
		if errors.Is(err, errPurgeStopped) {
			return
		}
		if err != nil {
			p.s.fail(fmt.Errorf("purge the history before revision %d: %w", mark, err))
			return
		}
		p.mu.Lock()
		p.through = mark
		close(p.moved)
		p.moved = make(chan struct{})
		p.mu.Unlock()
		p.kick() // the mark may have moved on meanwhile
	}
}

// pause lets others have the disk and the processor: for as long as the purger
// worked, where commands were carried out meanwhile, and else for a little; and
// for as long as the engine has more to flush and to merge than it likes.
func (p *purger) pause(worked time.Duration) error {
	wait := worked / restAlone
	if at := p.g.state.Load().applied; at != p.seen {
		p.seen, wait = at, worked
	}
	wait = max(wait, p.s.purge.rest)
	for {
		select {
		case <-p.quit:
			return errPurgeStopped
		case <-time.After(wait):
		}
		if !p.crowded() {
			return nil
		}
		wait = crowdedPause
	}
}

// restAlone is how many times as long as it rests the purger works where nobody
// writes: reads want the disk and the processor, too.
const restAlone = 4

const (
	crowdedPause     = 10 * time.Millisecond
	crowdedMemTables = 3  // full ones, of the four at which Pebble holds writes back
	crowdedReadAmp   = 24 // of the 64 tables in L0 at which it does so
)

// crowded says that the engine is behind with its work. Memtables are small
// after a start, and flushed only when there is enough of them: their number
// says nothing.
func (p *purger) crowded() bool {
	m := p.g.db.Metrics()
	return m.MemTable.Size >= crowdedMemTables*uint64(p.s.opt.MemTableBytes) || m.ReadAmp() >= crowdedReadAmp
}

// Purged returns once everything that compactions put out of reach before the
// call is deleted on this member, and stays so after power loss. The errors
// are ctx's, [ErrClosed], and those of the disk.
func (s *Store) Purged(ctx context.Context) error {
	for {
		g, err := s.acquire()
		if err != nil {
			return err
		}
		p, mark := g.purger, g.state.Load().compacted
		g.release()
		if ended, err := p.wait(ctx, mark); err != nil {
			return err
		} else if ended {
			continue // Close, or Restore brought another database
		}
		return s.Prepare()
	}
}

// wait returns when the purger is through with the mark, or has ended.
func (p *purger) wait(ctx context.Context, mark int64) (ended bool, err error) {
	for {
		p.mu.Lock()
		through, moved := p.through, p.moved
		p.mu.Unlock()
		if through >= mark {
			return false, nil
		}
		select {
		case <-moved:
		case <-p.done:
			return true, p.s.failure()
		case <-ctx.Done():
			return false, fmt.Errorf("wait for the purge of the history before revision %d: %w", mark, ctx.Err())
		}
	}
}

// idle says that everything that the mark excludes is gone.
func (p *purger) idle(mark int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.through >= mark
}

// era counts the readers that began between two moves of the mark. A reader
// looks up the state and opens iterators as it needs them, so that a purge
// between the two would leave holes in what it sees.
type era = sync.WaitGroup

// nextEra begins one and returns the one before, to be waited for: readers of
// the new one find the state that is published now, or a later one.
func (s *Store) nextEra(g *generation) *era {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := g.era
	g.era = &era{}
	return before
}
