package kv

import (
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
