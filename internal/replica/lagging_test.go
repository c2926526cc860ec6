package replica

import (
	"strings"
	"testing"

	"github.com/musterhq/muster/internal/roster"
)

// TestPace: what a learner takes in is held against what is written, over the
// last samples, and not over a time in which it was away.
func TestPace(t *testing.T) {
	l := &lag{}
	for tick := uint64(0); tick <= 100; tick++ {
		l.measure(measure{tick, 10 * tick, 1000 + 2*tick})
	}
	takes, grows, ok := l.pace(measure{101, 1010, 1202})
	if !ok || takes != 10 || grows != 2 {
		t.Errorf("takes %v, grows %v, %v", takes, grows, ok)
	}
	h := &heard{}
	h.fallSilent(l, 102)
	h.fallSilent(l, 103)
	if l.falls != 1 || l.fell != 102 {
		t.Errorf("fell %d times, last at %d", l.falls, l.fell)
	}
	if _, _, ok := l.pace(measure{500, 2000, 3000}); ok {
		t.Error("the pace of a time in which it was away")
	}
}

// TestUnstableSaysHowOften: the roster's reason for a learner that comes and
// goes is told with how often it has.
func TestUnstableSaysHowOften(t *testing.T) {
	r := leading()
	m := newcomer(1)
	r.tick = 100
	r.peers.lags[m.ID] = &lag{falls: 3, fell: 60}
	for _, code := range []string{"not_stable", "not_active"} {
		why := roster.Why{{Code: code, Peer: m.ID, Text: "it"}}
		if got := r.detailed(why)[0].Text; !strings.Contains(got, "it; it has fallen silent 3 times in this term, last 4s ago") {
			t.Errorf("%s: %s", code, got)
		}
		if why[0].Text != "it" {
			t.Error("the roster's own reasons were changed")
		}
	}
}
