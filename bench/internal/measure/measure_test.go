package measure

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestRunCountsTheWindowOnly drives a system that takes exactly 10 ms an
// operation, fails every tenth, and doubles its CPU time each time it is read.
func TestRunCountsTheWindowOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cpu := time.Second
		usage := func() (Usage, error) {
			cpu *= 2
			return Usage{CPU: cpu, RSS: int64(cpu)}, nil
		}
		do := func(_ context.Context, _, n int) error {
			time.Sleep(10*time.Millisecond + time.Microsecond) // never exactly on an edge of the window
			if n%10 == 9 {
				return errors.New("the tenth")
			}
			return nil
		}
		w, err := Run(t.Context(), Plan{Workers: 2, WarmUp: time.Second, Duration: 11 * time.Second, Timeout: time.Minute}, do, usage)
		if err != nil {
			t.Fatal(err)
		}
		// Ten operations and the pause after the failed one take 110 ms: 100
		// times that fits in the window, for each of two workers.
		if w.Ops < 1798 || w.Ops > 1802 || w.Errors < 198 || w.Errors > 202 {
			t.Errorf("%d operations and %d errors, want 1800 and 200", w.Ops, w.Errors)
		}
		if w.FirstError != "the tenth" {
			t.Errorf("first error %q", w.FirstError)
		}
		if w.Seconds != 11 || w.P50 != 10.001 || w.P99 != 10.001 || w.Max != 10.001 {
			t.Errorf("window of %v s, p50 %v, p99 %v, max %v", w.Seconds, w.P50, w.P99, w.Max)
		}
		if got := w.CPUPerOp * float64(w.Ops); got < 1.999e6 || got > 2.001e6 {
			t.Errorf("%v µs of CPU in the window, want 2 s", got)
		}
		if w.RSS != int64(4*time.Second) {
			t.Errorf("resident %d, want what the second reading said", w.RSS)
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		hang := func(ctx context.Context, _, _ int) error { <-ctx.Done(); return ctx.Err() }
		begin := time.Now()
		_, err := Run(ctx, Plan{Workers: 3, WarmUp: time.Minute, Duration: time.Minute, Timeout: time.Hour}, hang,
			func() (Usage, error) { return Usage{}, nil })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("ended after %v with %v", time.Since(begin), err)
		}
	})
}

func TestQuantile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, c := range []struct {
		of   []time.Duration
		q    float64
		want time.Duration
	}{
		{hundred, 0.50, 50}, {hundred, 0.99, 99}, {hundred, 1, 100}, {hundred, 0, 1},
		{hundred[:1], 0.5, 1}, {hundred[:3], 0.5, 2}, {hundred[:3], 0.99, 3},
	} {
		if got := quantile(c.of, c.q); got != c.want {
			t.Errorf("quantile %v of %d values is %d, want %d", c.q, len(c.of), got, c.want)
		}
	}
}

// TestReportPairsRounds: the machine is slow in round 2, quick in round 3, and the
// peer alone has a fourth. Medians would say 0.36x; every round by itself says 2x.
func TestReportPairsRounds(t *testing.T) {
	r := &Report{Unit: "puts", Systems: []string{"peer", "us"}, Subject: "us", Failed: []string{"round 4, us: no disk"}}
	for i, scale := range []float64{100, 10, 1000} {
		for _, s := range []struct {
			system string
			rate   float64
		}{{"peer", scale}, {"us", 2 * scale}} {
			r.Samples = append(r.Samples, Sample{System: s.system, Clients: 8, Target: "leader", Round: i + 1,
				Window: Window{Ops: 1, PerSecond: s.rate, P50: 3, P99: 6, CPUPerOp: 5, RSS: 1 << 20}})
		}
	}
	r.Samples = append(r.Samples, Sample{System: "peer", Clients: 8, Target: "leader", Round: 4, Note: "leader moved",
		Window: Window{PerSecond: 1e9, Errors: 7, FirstError: "too slow"}})
	var b strings.Builder
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"8  leader     peer     550", "8  leader       us     200", "us/peer   2.00x   1.00x",
		"note: peer, 8 clients to leader, round 4: leader moved",
		"errors: peer, 8 clients to leader, round 4: 7, the first: too slow",
		"failed: round 4, us: no disk",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestMedianKeepsItsArgument(t *testing.T) {
	vs := []float64{3, 1, 2}
	if median(vs) != 2 || median([]float64{4, 1, 3, 2}) != 2.5 || vs[0] != 3 {
		t.Errorf("median of %v", vs)
	}
}

func TestWhatGoesBeforeIsNotTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sleep := func(d time.Duration) Do {
			return func(context.Context, int, int) error { time.Sleep(d); return nil }
		}
		w, err := Run(t.Context(), Plan{Workers: 1, Duration: 10 * time.Second, Timeout: time.Minute, Before: sleep(90 * time.Millisecond)},
			sleep(10*time.Millisecond+time.Microsecond), func() (Usage, error) { return Usage{}, nil })
		if err != nil {
			t.Fatal(err)
		}
		if w.P50 != 10.001 || w.Ops != 99 {
			t.Errorf("%d operations of %v ms, want 99 of 10.001", w.Ops, w.P50)
		}
	})
}
