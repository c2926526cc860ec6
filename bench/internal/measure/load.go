package measure

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Plan is one closed-loop load: each worker starts its next operation when the
// last one ended.
type Plan struct {
	Workers  int
	WarmUp   time.Duration // load that isn't counted, before Duration
	Duration time.Duration // the measured window
	Timeout  time.Duration // of one operation
	Before   Do            // carried out before each operation and not timed; nil: nothing is
}

// Usage is what the processes that serve the load have used so far.
type Usage struct {
	CPU time.Duration // user and system time since they started
	RSS int64         // resident bytes, now
}

// Do carries out operation n (counted from 0) of one worker.
type Do func(ctx context.Context, worker, n int) error

// Run drives do by p and returns what fell into the window. usage is read at
// both edges of it. Run returns when every worker has ended, which is at most
// p.Timeout after the window closed or ctx ended.
func Run(ctx context.Context, p Plan, do Do, usage func() (Usage, error)) (Window, error) {
	var (
		stop     = make(chan struct{})
		counting atomic.Bool
		workers  = make([]worker, p.Workers)
		wg       sync.WaitGroup
	)
	for i := range workers {
		w := &workers[i]
		w.took = make([]time.Duration, 0, 1024)
		wg.Go(func() { w.loop(ctx, stop, &counting, p, i, do) })
	}
	window, err := observe(ctx, p, &counting, usage)
	close(stop)
	wg.Wait()
	if err != nil {
		return Window{}, err
	}
	return collect(workers, window), nil
}

// edges is a window as its two ends were read.
type edges struct {
	length                    time.Duration
	before, after             Usage // of the serving processes
	ownCPUBefore, ownCPUAfter time.Duration
}

// observe opens and closes the window.
func observe(ctx context.Context, p Plan, counting *atomic.Bool, usage func() (Usage, error)) (e edges, err error) {
	if err = pause(ctx, p.WarmUp); err != nil {
		return
	}
	if e.before, e.ownCPUBefore, err = both(usage); err != nil {
		return
	}
	begin := time.Now()
	counting.Store(true)
	err = pause(ctx, p.Duration)
	counting.Store(false)
	e.length = time.Since(begin)
	if err != nil {
		return
	}
	e.after, e.ownCPUAfter, err = both(usage)
	return
}

// both reads the servers' usage and this process's own CPU time.
func both(usage func() (Usage, error)) (Usage, time.Duration, error) {
	servers, err := usage()
	if err != nil {
		return servers, 0, err
	}
	own, err := Self()
	return servers, own.CPU, err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// worker is owned by its goroutine until Run has waited for it.
type worker struct {
	took     []time.Duration // one per operation that ended well inside the window
	errors   int
	firstErr string
	_        [64]byte // keeps the counters of two workers off one cache line
}

// errorPause keeps a worker whose operations fail at once from taking the CPU
// away from the system that is to recover.
const errorPause = 10 * time.Millisecond

func (w *worker) loop(ctx context.Context, stop <-chan struct{}, counting *atomic.Bool, p Plan, id int, do Do) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		opCtx, cancel := context.WithTimeout(ctx, p.Timeout)
		var err error
		if p.Before != nil {
			err = p.Before(opCtx, id, n)
		}
		begin := time.Now()
		if err == nil {
			err = do(opCtx, id, n)
		}
		cancel()
		if counting.Load() {
			w.note(time.Since(begin), err)
		}
		if err != nil && pause(ctx, errorPause) != nil {
			return
		}
	}
}

func (w *worker) note(took time.Duration, err error) {
	if err == nil {
		w.took = append(w.took, took)
		return
	}
	w.errors++
	if w.firstErr == "" {
		w.firstErr = err.Error()
	}
}
