// Package discoverytest holds providers of addresses to the contract of
// package discovery: ours, and those that others write.
//
// It is for tests alone. It doesn't know what a provider should find; the
// subject of a test says so.
package discoverytest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/discovery"
)

// Subject is a provider to be tested, and its source. It is made anew for each
// part of the test.
type Subject struct {
	Provider discovery.Provider
	// Self is what Find is told of this node. Default "127.0.0.1:2380".
	Self string
	// Want are the addresses that the provider has to find, at least.
	Want []string
	// Break makes the source fail, until Mend is called. Both are nil for one
	// that can't fail.
	Break, Mend func()
}

// Patience is how long Test waits for what has to happen, and says nothing
// about how fast it should.
const Patience = time.Minute

// Test holds the subjects that setup makes to the contract: what is wanted is
// found; reports come one at a time, before Find returns, and hold either an
// error or addresses, each of them host:port and once; after errors the search
// goes on; Find returns when its context ends, and leaves no goroutine.
func Test(t *testing.T, setup func(t *testing.T) Subject) {
	for name, part := range parts {
		t.Run(name, func(t *testing.T) { part(t, setup(t)) })
	}
}

// TestInBubble is Test in the bubbles of [testing/synctest], where hours pass
// at once. It is for providers whose source is not the network.
func TestInBubble(t *testing.T, setup func(t *testing.T) Subject) {
	for name, part := range parts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { part(t, setup(t)) })
		})
	}
}

var parts = map[string]func(*testing.T, Subject){
	"String":             testString,
	"Finds":              testFinds,
	"EndsWithItsContext": testEnds,
	"EndsBeforeItBegins": testEndsAtOnce,
	"GoesOnAfterAnError": testGoesOn,
	"BeginsWithAnError":  testBeginsBroken,
	"CanBeUsedAgain":     testTwice,
}

func testString(t *testing.T, s Subject) {
	if s.Provider.String() == "" {
		t.Error("String is empty: it names the source for people")
	}
	if a, b := s.Provider.String(), s.Provider.String(); a != b {
		t.Errorf("String is %q, then %q", a, b)
	}
}

func testFinds(t *testing.T, s Subject) {
	r := start(t, s)
	r.untilFound(s.Want)
	r.end()
}

// testEnds ends it at several moments, also while it looks.
func testEnds(t *testing.T, s Subject) {
	for _, after := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond, 300 * time.Millisecond} {
		r := start(t, s)
		time.Sleep(after) // any moment will do
		r.end()
	}
}

func testEndsAtOnce(t *testing.T, s Subject) {
	r := start(t, s, ended)
	r.end()
}

func testGoesOn(t *testing.T, s Subject) {
	if s.Break == nil {
		t.Skip("this source can't fail")
	}
	r := start(t, s)
	r.untilFound(s.Want)
	r.goesOn(s)
	r.end()
}

func testBeginsBroken(t *testing.T, s Subject) {
	if s.Break == nil {
		t.Skip("this source can't fail")
	}
	s.Break()
	r := start(t, s)
	r.until("the error of a broken source is to be reported", func() bool { return r.errs > 0 })
	r.mend(s)
	r.end()
}

// testTwice: a node that is started again in the same process uses it again.
func testTwice(t *testing.T, s Subject) {
	for range 2 {
		r := start(t, s)
		r.untilFound(s.Want)
		r.end()
	}
}
