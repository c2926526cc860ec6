package kv

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// Options are the choices of a [Store]. The zero value is ready to use.
type Options struct {
	FS            vfs.FS       // nil: the operating system's
	CacheBytes    int64        // for blocks read from disk; 0: 128 MiB
	MemTableBytes int64        // written and not yet flushed, of one of up to four tables; 0: 32 MiB
	Logger        *slog.Logger // nil: silent
	Tokens        Tokens       // is told of those that users are given; nil: nobody is

	// OnCommit is called with the time that each batch took to get into the engine:
	// microseconds, unless it waits because what is flushed in the background lags,
	// which is when the disk is too slow. It is called by the goroutine that applies,
	// and must return at once. nil: nobody's.
	OnCommit func(time.Duration)

	// Fatal is called, at most once, when the storage engine can't go on and
	// must not return to it: its manifest could not be written. It is meant to
	// report and end the process. nil, or a return from it: panic.
	Fatal func(error)
}

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = 128 << 20
	}
	if o.MemTableBytes <= 0 {
		o.MemTableBytes = 32 << 20
	}
	if o.Tokens == nil {
		o.Tokens = noTokens{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// pebbleOptions are those of g's database. The cache is shared by all.
func (s *Store) pebbleOptions(g *generation) *pebble.Options {
	o := &pebble.Options{
		FS:                          s.opt.FS,
		Cache:                       s.cache,
		Comparer:                    mvcc.NewComparer(),
		DisableWAL:                  true, // the raft log is the WAL
		FormatMajorVersion:          engineFormat,
		MemTableSize:                uint64(s.opt.MemTableBytes),
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       64,
		LBaseMaxBytes:               64 << 20,
		CompactionConcurrencyRange:  func() (int, int) { return 1, max(1, min(4, runtime.GOMAXPROCS(0)/2)) },
		Logger:                      engineLog{s},
		EventListener: &pebble.EventListener{
			BackgroundError: s.backgroundError,
			FlushEnd: func(i pebble.FlushInfo) {
				g.flushed.Store(true)
				g.wasFlushed(i)
			},
		},
	}
	for i := range o.Levels {
		o.Levels[i].BlockSize = 16 << 10
		o.Levels[i].IndexBlockSize = 64 << 10
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].FilterType = pebble.TableFilter
	}
	o.Experimental.L0CompactionConcurrency = 4
	return o
}

// engineFormat is what the engine's files are written in. It is none that moves
// with the engine's version: an image goes to members of other releases too, and a
// store that was opened in a newer format is lost to the release before. Raise it
// one release after the one that reads it.
const engineFormat = pebble.FormatValueSeparation

// backgroundError stops the store on the first failed flush or compaction.
// Pebble would try again; but a failed write or fsync is not to be repeated
// on the same file, and a member that can't flush can't compact its log.
func (s *Store) backgroundError(err error) {
	if errors.Is(err, pebble.ErrCancelledCompaction) {
		return
	}
	s.fail(fmt.Errorf("background write failed: %w", err))
}

// engineLog is where Pebble's own messages go.
type engineLog struct{ s *Store }

// Infof implements pebble.Logger.
func (l engineLog) Infof(format string, args ...any) {
	l.s.opt.Logger.Debug("kv: " + fmt.Sprintf(format, args...))
}

// Errorf implements pebble.Logger.
func (l engineLog) Errorf(format string, args ...any) {
	l.s.opt.Logger.Warn("kv: " + fmt.Sprintf(format, args...))
}

// Fatalf implements pebble.Logger. It must not return.
func (l engineLog) Fatalf(format string, args ...any) {
	err := fmt.Errorf("kv: storage engine: "+format, args...)
	l.s.fail(err)
	if l.s.opt.Fatal != nil {
		l.s.opt.Fatal(err)
	}
	panic(err)
}
