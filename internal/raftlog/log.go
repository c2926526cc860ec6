package raftlog

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3/raftpb"
)

// Options of [Open]; the zero value is fit for use.
type Options struct {
	FS           vfs.FS // nil: vfs.Default
	SegmentBytes int64  // a segment that has grown to this is followed by a new one; 0: 64 MiB; at most 1 GiB
	CacheBytes   int64  // entries kept in memory, newest; 0: 4 MiB

	// OnSync hears how long each sync of a segment took, from the goroutine that
	// appends; nil: nobody does.
	OnSync func(time.Duration)
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 64 << 20
	}
	o.SegmentBytes = min(o.SegmentBytes, 1<<30)
	if o.CacheBytes <= 0 {
		// For the peers and the applier, who keep up but for some hundred
		// milliseconds. Who lags more reads from the page cache. A byte here takes
		// three at the server's setting of the garbage collector.
		o.CacheBytes = 4 << 20
	}
	return o
}

// Mark names the entry after which the log begins.
type Mark struct{ Index, Term uint64 }

// Batch is what one [Log.Append] stores, in this order: Reset, Entries, HardState.
type Batch struct {
	Reset     *Mark             // a snapshot replaced everything: the log becomes empty and begins after it
	Entries   []*raftpb.Entry   // consecutive; may overwrite a suffix (conflict); kept by the log, not changed
	HardState *raftpb.HardState // nil: unchanged
	Sync      bool              // must survive power loss on return
}

// Log is an open raft log. Append, Compact and Close are for one caller at a
// time, the appender; everything else may be called from anywhere and overlaps
// them.
type Log struct {
	fs  vfs.FS
	dir string
	opt Options

	// Owned by the appender.
	w       writer
	buf     []byte // the record being built
	pending []loc  // places of the entries in buf
	size    atomic.Int64

	mu       sync.RWMutex // never held over I/O
	x        index
	cache    cache
	segments []*segment // ascending by number, the last is being written
	err      error      // why nothing more is accepted: ErrFailed, ErrClosed
	closed   bool
}

// Open opens the log in dir, which is created if it is missing, and recovers
// what is in it. On return everything that readers see survives power loss. A
// log with damage to what was synced is refused with a *[CorruptError], and
// its segments are left as they are. Only one Log may be open on a directory; the caller
// sees to that (package datadir holds the lock).
func Open(dir string, opt Options) (*Log, error) {
	opt = opt.withDefaults()
	l := &Log{fs: opt.FS, dir: dir, opt: opt, cache: cache{limit: opt.CacheBytes}}
	if err := l.fs.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open raft log: %w", onFile("mkdir", dir, err))
	}
	if err := l.recover(); err != nil {
		l.abandon()
		return nil, err
	}
	return l, nil
}

// abandon closes what a failed Open had opened.
func (l *Log) abandon() {
	if l.w.file != nil {
		_ = l.w.file.Close()
	}
	for _, s := range l.segments {
		s.release()
	}
}

// HardState returns the last one stored, or nil.
func (l *Log) HardState() *raftpb.HardState {
	l.mu.RLock()
	h, ok := l.x.hard, l.x.hasHard
	l.mu.RUnlock()
	if !ok {
		return nil
	}
	return &raftpb.HardState{Term: new(h.term), Vote: new(h.vote), Commit: new(h.commit)}
}

// FirstIndex is one above the mark: 1 in a fresh log.
func (l *Log) FirstIndex() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.x.mark.Index + 1
}

// LastIndex is FirstIndex-1 when there are no entries.
func (l *Log) LastIndex() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.x.last()
}

// Size is how many bytes the segments take on disk, with what is written ahead.
func (l *Log) Size() int64 { return l.size.Load() }

// Close syncs what was appended, writes the last mark and closes the files. It
// is idempotent. Entries that are only on disk can't be read after it. When the
// Log failed before, it returns that failure and writes nothing.
func (l *Log) Close() error {
	l.mu.RLock()
	err, closed := l.err, l.closed
	l.mu.RUnlock()
	if closed {
		if errors.Is(err, ErrFailed) {
			return err
		}
		return nil
	}
	if err == nil {
		err = l.writeLastMark()
	}
	if cerr := l.w.file.Close(); cerr != nil && err == nil {
		err = l.fail(onFile("close", l.w.seg.path, cerr))
	}
	l.mu.Lock()
	segments := l.segments
	l.segments, l.closed = nil, true
	if l.err == nil {
		l.err = ErrClosed
	}
	l.mu.Unlock()
	for _, s := range segments {
		s.release()
	}
	return err
}

// failure is why the log accepts nothing more, or nil.
func (l *Log) failure() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.err
}

// fail ends the log; the returned error is that of all later calls.
func (l *Log) fail(cause error) error {
	err := fmt.Errorf("%w: %w", ErrFailed, cause)
	l.mu.Lock()
	l.err = err
	l.mu.Unlock()
	return err
}
