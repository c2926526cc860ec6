// Scale measures one member of muster with much data in it: how fast it takes
// it, how long a restart takes until it serves, what memory it needs, how fast
// all of it is read as a stream, and what deleting all of it costs and gives
// back. It is a real process, driven by etcd's own Go client.
//
// See ../README.md for how to read what it prints.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/bench/internal/measure"
	"github.com/musterhq/muster/internal/testproc"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench-scale:", err)
		os.Exit(1)
	}
}

type settings struct {
	keys, valueBytes int
	clients, puts    int
	pieces           int
	cacheBytes       int64
	limit, loadFor   time.Duration
	fast             bool
	dataDir, muster  string
}

func parse(args []string) (settings, error) {
	var s settings
	f := flag.NewFlagSet("bench-scale", flag.ContinueOnError)
	f.IntVar(&s.keys, "keys", 2_000_000, "how many keys")
	f.IntVar(&s.valueBytes, "bytes", 500, "size of a value; random, so that compression gains nothing")
	f.IntVar(&s.clients, "clients", 32, "how many clients write at once")
	f.IntVar(&s.puts, "puts", 100, "puts in a transaction, at most 128")
	f.IntVar(&s.pieces, "pieces", 1, "how many requests delete everything")
	f.Int64Var(&s.cacheBytes, "cache-bytes", 128<<20, "the member's --cache-bytes")
	f.BoolVar(&s.fast, "fast", false, "load the keys in this process, before the member is started")
	f.DurationVar(&s.loadFor, "load-for", time.Hour, "with -fast: load no more keys than there is time for")
	f.DurationVar(&s.limit, "timeout", time.Hour, "end of the whole run, whatever is left to do")
	f.StringVar(&s.dataDir, "data-dir", "", "`directory` on the disk to measure, for temporary files (default: the system's)")
	f.StringVar(&s.muster, "muster", "", "`program` to run as muster (default: built from this tree)")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if s.keys < 1 || s.valueBytes < 8 || s.clients < 1 || s.puts < 1 || s.puts > 128 || s.pieces < 1 || s.pieces > 26 {
		return s, errors.New("want keys, clients, pieces (up to 26) and puts (up to 128) of at least 1, and values of at least 8 bytes")
	}
	return s, nil
}

func run(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	dir, err := os.MkdirTemp(s.dataDir, "bench-scale-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if s.muster == "" {
		s.muster = filepath.Join(dir, "muster")
		// A module of its own: muster is built with its own dependencies.
		if err := testproc.Build(ctx, "..", s.muster, "./cmd/muster"); err != nil {
			return fmt.Errorf("%w; run this inside bench/", err)
		}
	}
	about, err := measure.Describe(dir, fmt.Sprintf("1 member process, %d keys, %d-byte values, %d MiB of cache", s.keys, s.valueBytes, s.cacheBytes>>20))
	if err != nil {
		return err
	}
	fmt.Printf("%s\n\n%-34s %10s %14s %10s %10s\n", about, "step", "seconds", "rate", "peak MiB", "disk MiB")
	b := &bench{settings: s, dir: filepath.Join(dir, "m")}
	defer b.kill()
	return b.run(ctx)
}

// bench is one run: one member, and a client of it while it serves.
type bench struct {
	settings
	dir    string
	client *clientv3.Client
	member
}

func (b *bench) run(ctx context.Context) error {
	type step struct {
		name string
		do   func(ctx context.Context) (rate string, err error)
	}
	steps := []step{{"start, empty", b.serve}, {"put every key", b.load}, {"stop", b.stop}}
	if b.fast {
		steps = []step{{"put every key, in this process", b.loadHere}}
	}
	steps = append(steps, []step{
		{"start until it serves", b.serve},
		{"kill while it is written to", b.crash},
		{"start after the kill", b.serve},
		{"count every key", b.count},
		{"stream every key", b.stream},
		{"delete every key", b.deleteAll},
		{"compact until it is purged", b.compact},
		{"wait for the store's disk", b.reclaim},
		{"wait for the directory's", b.rest},
		{"stop, empty again", b.stop},
		{"start, empty again", b.serve},
	}...)
	for _, step := range steps {
		b.resetPeak()
		began := time.Now()
		rate, err := step.do(ctx)
		took := time.Since(began)
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Printf("%-34s %10.2f %14s %10s %10d\n", step.name, took.Seconds(), rate, b.peak(), diskUse(b.dir)>>20)
	}
	return nil
}
