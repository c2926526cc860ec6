package discoverytest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// run is one call of Find.
type run struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan struct{} // closed when Find has returned
	mark   string        // of its goroutines

	within   atomic.Int32 // calls of report that have not returned
	returned atomic.Bool

	mu      sync.Mutex
	found   []string // of the last report without an error
	errs    int      // reports with an error
	reports int
	changed chan struct{} // closed, and made anew, at each report
}

// option changes how a run begins.
type option int

const ended option = iota // with a context that has ended

var runs atomic.Int64

func start(t *testing.T, s Subject, options ...option) *run {
	t.Helper()
	if s.Self == "" {
		s.Self = "127.0.0.1:2380"
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{t: t, cancel: cancel, done: make(chan struct{}), mark: fmt.Sprintf("find-%d", runs.Add(1)), changed: make(chan struct{})}
	if slices.Contains(options, ended) {
		cancel()
	}
	// Goroutines inherit the label, so that those which are left are known by it.
	go pprof.Do(ctx, pprof.Labels("discoverytest", r.mark), func(ctx context.Context) {
		defer close(r.done)
		defer r.returned.Store(true)
		s.Provider.Find(ctx, s.Self, r.report)
	})
	t.Cleanup(func() { cancel(); <-r.done })
	return r
}

func (r *run) report(addrs []string, err error) {
	if r.within.Add(1) != 1 {
		r.t.Error("report was called while another call of it ran")
	}
	if r.returned.Load() {
		r.t.Error("report was called after Find had returned")
	}
	r.check(addrs, err)
	r.mu.Lock()
	r.reports++
	if err != nil {
		r.errs++
	} else {
		r.found = slices.Clone(addrs)
	}
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
	r.within.Add(-1)
}

// check looks at one report.
func (r *run) check(addrs []string, err error) {
	if err != nil {
		if len(addrs) > 0 {
			r.t.Errorf("report has addresses %v with the error %q: those belong into a call before", addrs, err)
		}
		if err.Error() == "" {
			r.t.Error("report has an error without a text")
		}
		return
	}
	seen := map[string]bool{}
	for _, a := range addrs {
		if seen[a] {
			r.t.Errorf("report has %q twice", a)
		}
		seen[a] = true
		host, port, err := net.SplitHostPort(a)
		if n, portErr := strconv.ParseUint(port, 10, 16); err != nil || host == "" || portErr != nil || n == 0 {
			r.t.Errorf("report has %q, which is not host:port", a)
		}
	}
}

// until waits for a report after which ok holds. It is called with mu held.
func (r *run) until(what string, ok func() bool) {
	r.t.Helper()
	limit := time.After(Patience)
	for {
		r.mu.Lock()
		good, changed := ok(), r.changed
		r.mu.Unlock()
		if good {
			return
		}
		select {
		case <-changed:
		case <-r.done:
			r.t.Fatalf("Find returned before its context ended; %s", what)
		case <-limit:
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("not within %v: %s; last found %v, %d errors", Patience, what, r.found, r.errs)
		}
	}
}

// untilFound waits until the last addresses that were reported have all that
// are wanted.
func (r *run) untilFound(want []string) {
	r.t.Helper()
	r.until(fmt.Sprintf("%v are to be found", want), func() bool {
		missing := slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(r.found, w) })
		return r.reports > 0 && !missing
	})
}

// goesOn breaks and mends the source of a search that runs.
func (r *run) goesOn(s Subject) {
	r.t.Helper()
	r.mu.Lock()
	before := r.errs
	r.mu.Unlock()
	s.Break()
	r.until("the error of a broken source is to be reported", func() bool { return r.errs > before })
	r.mend(s)
}

// mend expects what is wanted to be reported anew.
func (r *run) mend(s Subject) {
	r.t.Helper()
	r.mu.Lock()
	r.found, r.reports = nil, 0
	r.mu.Unlock()
	s.Mend()
	r.untilFound(s.Want)
}

// end ends the context: Find returns, and nothing of it is left.
func (r *run) end() {
	r.t.Helper()
	r.cancel()
	select {
	case <-r.done:
	case <-time.After(Patience):
		r.t.Fatalf("Find has not returned %v after its context ended", Patience)
	}
	r.mu.Lock()
	before := r.reports
	r.mu.Unlock()
	r.leftNothing()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reports != before {
		r.t.Error("report was called after Find had returned")
	}
}

// leftNothing waits a little for goroutines that have only to end, then fails.
func (r *run) leftNothing() {
	r.t.Helper()
	var left string
	for range 500 { // five seconds: the machine may be busy
		if left = goroutines(r.mark); left == "" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.t.Errorf("goroutines are left after Find has returned:\n%s", left)
}

// goroutines are those that carry the mark, as the profile shows them.
func goroutines(mark string) string {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		return err.Error()
	}
	var found []string
	for stack := range strings.SplitSeq(b.String(), "\n\n") {
		if strings.Contains(stack, strconv.Quote(mark)) {
			found = append(found, stack)
		}
	}
	return strings.Join(found, "\n\n")
}
