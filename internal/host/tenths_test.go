package host

import (
	"slices"
	"testing"
	"time"
)

// TestTenths: a stream tells how far it is at most ten times and once a second,
// and always of its beginning and its end.
func TestTenths(t *testing.T) {
	for name, c := range map[string]struct {
		total, step int64
		each        time.Duration
		want        []int64
	}{
		"quick":      {total: 100, step: 10, each: time.Millisecond, want: []int64{0, 100}},
		"slow":       {total: 100, step: 5, each: time.Second, want: []int64{0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100}},
		"in between": {total: 100, step: 10, each: 400 * time.Millisecond, want: []int64{0, 30, 60, 90, 100}},
		"nothing":    {total: 0, step: 1, want: []int64{0}},
	} {
		steps, now := tenths{told: -1}, time.Unix(1, 0)
		var told []int64
		for have := int64(0); have <= c.total; have += c.step {
			if steps.due(have, c.total, now) {
				told = append(told, have)
			}
			now = now.Add(c.each)
		}
		if steps.due(c.total, c.total, now) && c.total > 0 {
			t.Errorf("%s: the end was told twice", name)
		}
		if !slices.Equal(told, c.want) {
			t.Errorf("%s: told at %v, want %v", name, told, c.want)
		}
	}
}
