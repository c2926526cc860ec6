package kv

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// A set covers a range if it has every key of it; all keys of up to two of the
// letters a to d stand for all there are.
func TestKeySet(t *testing.T) {
	var keys [][]byte
	for i := range 4 {
		keys = append(keys, []byte{'a' + byte(i)})
		for j := range 4 {
			keys = append(keys, []byte{'a' + byte(i), 'a' + byte(j)})
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	within := func(key, end []byte) (of []string) {
		for _, k := range keys {
			if modelIn(string(k), key, end) {
				of = append(of, string(k))
			}
		}
		return of
	}
	some := func() (key, end []byte) {
		key = pick(rnd, keys...)
		switch rnd.IntN(4) {
		case 0:
			return key, nil
		case 1:
			return key, []byte{0}
		}
		for {
			if end = pick(rnd, keys...); string(key) < string(end) {
				return key, end
			}
			key = pick(rnd, keys...)
		}
	}
	for range 3000 {
		var set keySet
		var said string
		has := map[string]bool{}
		for range rnd.IntN(5) {
			key, end := some()
			said += fmt.Sprintf(" [%s,%q)", key, end)
			set.add(key, end)
			for _, k := range within(key, end) {
				has[k] = true
			}
		}
		set.merge()
		for range 20 {
			key, end := some()
			want := true
			for _, k := range within(key, end) {
				want = want && has[k]
			}
			// Between the keys of the model there are others; a range that
			// ends nowhere has some behind the last one, too.
			if got := set.covers(key, end); got && !want {
				t.Fatalf("%s covers [%s,%q), and has not all of it", said, key, end)
			} else if !got && want && len(end) == 0 {
				t.Fatalf("%s doesn't cover %s, and has it", said, key)
			}
		}
	}
	var set keySet
	set.add([]byte("a"), []byte("c"))
	set.add([]byte("c"), []byte("e"))
	set.add([]byte("k"), []byte{0})
	set.add([]byte("m"), nil)
	set.merge()
	for _, c := range []struct {
		key, end string
		want     bool
	}{
		{"a", "e", true}, {"b", "d", true}, {"a", "f", false}, {"a", "\x00", false}, {"", "b", false},
		{"k", "\x00", true}, {"z", "\x00", true}, {"j", "\x00", false}, {"e", "", false}, {"d", "a", true},
	} {
		if got := set.covers([]byte(c.key), []byte(c.end)); got != c.want {
			t.Errorf("covers(%q, %q) is %v", c.key, c.end, got)
		}
	}
}
