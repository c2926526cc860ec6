package main

import (
	"strings"
	"testing"

	"github.com/musterhq/muster/bench/internal/measure"
)

func TestSuitesAreChosenByName(t *testing.T) {
	chosen, err := suitesOf("watch,reads")
	if err != nil || len(chosen) != 2 || chosen[0].name != "reads" || chosen[1].name != "watch" {
		t.Errorf("%v, %v; want reads and watch", chosen, err)
	}
	if _, err := suitesOf("reads,rites"); err == nil || !strings.Contains(err.Error(), "rites") {
		t.Errorf("got %v, want the unknown name", err)
	}
}

// TestPoints: a report for each load, with a window for each target that the load
// has and the user wants, and for each number of clients.
func TestLoadsAreChosenByTheirNames(t *testing.T) {
	left := holding(suites(), "ten keys")
	if len(left) != 1 || left[0].name != "reads" || len(left[0].loads) != 2 || left[0].loads[1].name != "serializable reads of ten keys" {
		t.Errorf("those that hold \"ten keys\": %+v", left)
	}
	if left := holding(suites(), "no such load"); len(left) != 0 {
		t.Errorf("those that hold what none does: %+v", left)
	}
}

func TestPoints(t *testing.T) {
	s, err := parse([]string{"-only", "puts,txn", "-clients", "1,10"})
	if err != nil {
		t.Fatal(err)
	}
	var all [][]point
	for _, u := range s.suites {
		all = append(all, s.points(u, measure.About{}))
	}
	if len(all) != 2 || len(all[0]) != 4 || len(all[1]) != 2*len(txns()) {
		t.Errorf("%d and %d windows, want 4 and %d", len(all[0]), len(all[1]), 2*len(txns()))
	}
	if got := len(reportsOf(all)); got != 1+len(txns()) {
		t.Errorf("%d reports, want one for each load, %d", got, 1+len(txns()))
	}
}

// TestFailedGroupIsReported: what is not measured any more is told for each window.
func TestFailedGroupIsReported(t *testing.T) {
	s, err := parse([]string{"-only", "txn", "-clients", "1", "-systems", "etcd", "-rounds", "1",
		"-etcd", script(t, "echo no room >&2; exit 1")})
	if err != nil {
		t.Fatal(err)
	}
	ps := s.points(s.suites[0], measure.About{})
	s.measure(t.Context(), t.TempDir(), false, ps)
	for _, p := range ps {
		if f := p.report.Failed; len(f) != 1 || !strings.Contains(f[0], "no room") {
			t.Errorf("%s: failed %q, want the end of the server's log", p.name, f)
		}
	}
}
