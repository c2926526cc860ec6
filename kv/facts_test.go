package kv

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A command sees the facts of those before it in the same call, over those of
// the database, and none of what a refused one did.
func TestFactsOfOneCall(t *testing.T) {
	s := New(Options{FS: vfs.NewMem()})
	if _, err := s.Open(""); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a := &s.applier
	list := func() (out []string) {
		own := []string{"x2", "x3", "x4", "x5", "x6", "x8"} // also some that were not written, or not after all
		err := a.scanFacts(own, []byte("x1"), []byte("x9"), func(k, v []byte) error {
			out = append(out, string(k)+"="+string(v))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	want := func(what string, want ...string) {
		t.Helper()
		if got := list(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
		for _, w := range want {
			if v, ok, err := a.fact([]byte(w[:2])); err != nil || !ok || string(v) != w[3:] {
				t.Errorf("%s: fact %s is %q, %v, %v", what, w[:2], v, ok, err)
			}
		}
	}
	for _, k := range []string{"x2", "x4", "x6"} {
		a.setFact([]byte(k), []byte("db"))
	}
	a.facts.keep()
	if err := a.commit(s.live, s.live.state.Load()); err != nil {
		t.Fatal(err)
	}
	a.facts.reset()
	want("after the commit", "x2=db", "x4=db", "x6=db")

	a.deleteFact([]byte("x2"))
	a.setFact([]byte("x3"), nil)
	a.setFact([]byte("x6"), []byte("own"))
	a.facts.keep()
	want("over the database", "x3=", "x4=db", "x6=own")
	if _, ok, _ := a.fact([]byte("x2")); ok {
		t.Error("a deleted fact is there")
	}

	a.setFact([]byte("x2"), []byte("own"))
	a.setFact([]byte("x6"), []byte("other"))
	a.deleteFact([]byte("x6"))
	a.setFact([]byte("x8"), []byte("own"))
	a.deleteFact([]byte("x4"))
	want("in the command", "x2=own", "x3=", "x8=own")
	a.facts.rollback()
	want("after it was refused", "x3=", "x4=db", "x6=own")
}

// TestDroppedFacts: facts of ranges that were dropped are gone, those that are
// written after it are there, and what a refused command dropped was not; in the
// call, in what it commits, and whatever came before.
func TestDroppedFacts(t *testing.T) {
	s := New(Options{FS: vfs.NewMem()})
	_, err := s.Open("")
	must(t, err)
	defer s.Close()
	a, rnd := &s.applier, newRand(5)
	key := func() string { return fmt.Sprintf("x%02d", rnd.IntN(30)) }
	is, own := map[string]string{}, map[string]bool{} // own were written in this call, if only for a while
	check := func(what string) {
		t.Helper()
		got := map[string]string{}
		last := ""
		must(t, a.scanFacts(slices.Sorted(maps.Keys(own)), []byte("x"), []byte("y"), func(k, v []byte) error {
			if string(k) <= last {
				t.Fatalf("%s: %s comes after %s", what, k, last)
			}
			last = string(k)
			got[last] = string(v)
			return nil
		}))
		if !maps.Equal(got, is) {
			t.Fatalf("%s: %v, want %v", what, got, is)
		}
		for i := range 30 {
			k := fmt.Sprintf("x%02d", i)
			v, ok, err := a.fact([]byte(k))
			if want, there := is[k]; err != nil || ok != there || string(v) != want {
				t.Fatalf("%s: fact %s is %q, %v, %v; want %q, %v", what, k, v, ok, err, want, there)
			}
		}
	}
	command := func() {
		for range rnd.IntN(6) {
			switch k := key(); rnd.IntN(4) {
			case 0, 1:
				v := fmt.Sprint(rnd.IntN(100))
				a.setFact([]byte(k), []byte(v))
				is[k], own[k] = v, true
			case 2:
				a.deleteFact([]byte(k))
				delete(is, k)
				own[k] = true
			default:
				var rs factRanges
				for from := k; len(rs) < 3; {
					to := key()
					if to <= from {
						break
					}
					rs = append(rs, factRange{from, to})
					from = to + "\x00"
				}
				a.dropFacts(rs, maps.Keys(own))
				maps.DeleteFunc(is, func(k, _ string) bool { return rs.hold(k) })
			}
		}
	}
	for range 200 {
		for n := range rnd.IntN(6) {
			before := maps.Clone(is)
			command()
			check(fmt.Sprintf("within command %d", n))
			if rnd.IntN(3) == 0 {
				a.facts.rollback()
				is = before
			}
			a.facts.keep()
			check(fmt.Sprintf("after command %d", n))
		}
		must(t, a.commit(s.live, s.live.state.Load()))
		a.facts.reset()
		clear(own)
		check("after the commit")
	}
}
