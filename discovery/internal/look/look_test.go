package look

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// around says whether d is within a quarter of want.
func around(d, want time.Duration) bool { return d >= want*3/4 && d <= want*5/4 }

// TestPace: pauses grow while nothing is new, an answer or an error, and begin
// anew with what is new. They differ by chance.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Pace{Min: time.Second, Max: 8 * time.Second}
		answers := []struct {
			addr string
			err  error
			want time.Duration // the pause after it
		}{
			{"a:1", nil, time.Second}, {"a:1", nil, 2 * time.Second}, {"a:1", nil, 4 * time.Second}, {"a:1", nil, 8 * time.Second}, {"a:1", nil, 8 * time.Second},
			{"b:1", nil, time.Second}, {"b:1", nil, 2 * time.Second},
			{"", errors.New("one"), time.Second}, {"", errors.New("another"), 2 * time.Second}, {"", errors.New("one more"), 4 * time.Second},
			{"b:1", nil, time.Second}, {"b:1", nil, 2 * time.Second},
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		i, exact := 0, 0
		last := time.Now()
		p.Again(ctx, func([]string, error) {}, func(context.Context) ([]string, error) {
			if i > 0 {
				pause, want := time.Since(last), answers[i-1].want
				if !around(pause, want) {
					t.Errorf("after look %d the pause is %v, want around %v", i-1, pause, want)
				}
				if pause == want {
					exact++
				}
			}
			last = time.Now()
			a := answers[i]
			if i++; i == len(answers) {
				cancel()
			}
			if a.err != nil {
				return nil, a.err
			}
			return []string{a.addr}, nil
		})
		if i != len(answers) || exact > 1 {
			t.Errorf("%d looks of %d; %d pauses without jitter", i, len(answers), exact)
		}
	})
}

func TestPaceDefaults(t *testing.T) {
	def := Pace{Min: time.Second, Max: time.Minute}
	for _, c := range []struct{ in, want Pace }{
		{Pace{}, def},
		{Pace{Min: time.Millisecond}, Pace{time.Millisecond, time.Minute}},
		{Pace{Max: 5 * time.Second}, Pace{time.Second, 5 * time.Second}},
		{Pace{Max: time.Millisecond}, Pace{time.Second, time.Second}},
		{Pace{Min: time.Hour}, Pace{time.Hour, time.Hour}},
	} {
		if got := c.in.Or(def); got != c.want {
			t.Errorf("%v.Or: %v, want %v", c.in, got, c.want)
		}
	}
}

// TestFound: sorted, once each; what is no address is an error beside the rest.
func TestFound(t *testing.T) {
	var calls []string
	note := func(addrs []string, err error) { calls = append(calls, fmt.Sprint(addrs, " ", err)) }
	Found([]string{"b:1", "a:1", "b:1", "c"}, nil).Report(note)
	Found(nil, errors.New("x")).Report(note)
	Found(nil, nil).Report(note)
	Found([]string{"a:1"}, errors.New("x")).Report(note)
	want := []string{
		"[a:1 b:1] <nil>", `[] "c" is not host:port`,
		"[] x",
		"[] <nil>",
		"[a:1] <nil>", "[] x",
	}
	if !slices.Equal(calls, want) {
		t.Errorf("reported %q, want %q", calls, want)
	}
}

func TestCheckAddr(t *testing.T) {
	for addr, good := range map[string]bool{
		"a:1": true, "10.0.0.1:2380": true, "[::1]:2380": true, "[fe80::1%eth0]:65535": true, "a.b.svc:80": true,
		"": false, "a": false, ":1": false, "a:": false, "a:0": false, "a:65536": false, "a:x": false, "a:+1": false,
		"0.0.0.0:1": false, "[::]:1": false, "::1:2": false, "a:1:2": false,
	} {
		if err := CheckAddr(addr); (err == nil) != good {
			t.Errorf("%q: %v", addr, err)
		}
	}
}

// TestEnd: a look that ctx cut short is not reported.
func TestEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	Pace{Min: time.Hour, Max: time.Hour}.Again(ctx, func(addrs []string, err error) {
		t.Errorf("reported %v, %v", addrs, err)
	}, func(ctx context.Context) ([]string, error) {
		cancel()
		return nil, ctx.Err()
	})
}
