package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/testproc"
	_ "github.com/musterhq/muster/server" // see testproc.Muster
)

// quick is long enough for several elections; the script takes more time.
var quick = pace{watching: 6 * time.Second, settling: 8 * time.Second}

func TestMain(m *testing.M) { os.Exit(testproc.RunTests(m)) }

// comesOutRight plays a scenario with muster.
func comesOutRight(t *testing.T, name string) {
	t.Parallel()
	var out bytes.Buffer
	s := play(t.Context(), musterSystem{}, testproc.Muster(t), name, quick, &out, true)
	if s.Verdict != Right {
		t.Errorf("%s\n%s", s.Verdict, out.String())
	}
}

func TestE1TwoOfThreeWiped(t *testing.T) { comesOutRight(t, "E1") }

func TestE3WipedBesideOneThatIsBehind(t *testing.T) { comesOutRight(t, "E3") }

// TestUsage: what is called wrongly says so, and plays nothing.
func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		nil, {"consul"}, {"muster", "etcd"}, {"-only", "E4", "muster"}, {"muster", "--only=E1,X"}, {"--nothing", "muster"}, {"-h"},
	} {
		var out, errOut bytes.Buffer
		if code := run(t.Context(), args, &out, &errOut); code != 2 || out.Len() > 0 || errOut.Len() == 0 {
			t.Errorf("%q: code %d, says %q and %q", args, code, out.String(), errOut.String())
		}
	}
	o, err := parse([]string{"muster", "--json", "-only", "E3"}, &bytes.Buffer{})
	if err != nil || o.system != "muster" || !o.json || o.only != "E3" {
		t.Errorf("flags behind the name: %+v, %v", o, err)
	}
}

// TestFaultsMakeItWrong: a fault is never outvoted by a reason to be content.
func TestFaultsMakeItWrong(t *testing.T) {
	var out bytes.Buffer
	tell := newTeller("E1", &out)
	tell.did("one thing")
	tell.saw("another")
	tell.saw("another")
	tell.fault("it forked")
	tell.fault("it forked")
	tell.end("all is well")
	tell.print()
	r := Report{System: "x", Scenarios: []*Scenario{{Name: "E2", Verdict: NotApplicable}, tell.s}}
	if tell.s.Verdict != Wrong || len(tell.s.Because) != 1 || len(tell.s.Steps) != 2 || r.Right() {
		t.Errorf("%+v, right: %v", tell.s, r.Right())
	}
	if !strings.Contains(out.String(), "=> WRONG: it forked") {
		t.Errorf("it tells\n%s", out.String())
	}
	for v, right := range map[Verdict]bool{Right: true, NotApplicable: true, Wrong: false, Unplayed: false} {
		if r := (&Report{Scenarios: []*Scenario{{Verdict: v}}}); r.Right() != right {
			t.Errorf("%s is right: %v", v, r.Right())
		}
	}
}

// TestWhatDoesNotStart: a program that is no server is no verdict on it.
func TestWhatDoesNotStart(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "muster")
	// While another test starts a process, that has a copy of each open file for a
	// moment, and what is open to be written can't be run.
	syscall.ForkLock.RLock()
	err := os.WriteFile(script, []byte("#!/bin/sh\necho no such flag >&2; exit 2\n"), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	s := play(t.Context(), musterSystem{}, script, "E1", quick, &out, false)
	if s.Verdict != Unplayed || !strings.Contains(strings.Join(s.Because, " "), "no such flag") {
		t.Errorf("%s: %q", s.Verdict, s.Because)
	}
	if code := run(t.Context(), []string{"--json", "--binary", script, "muster"}, &out, &errOut); code != 1 {
		t.Errorf("code %d", code)
	}
}

// TestJSON: the report is one document.
func TestJSON(t *testing.T) {
	b, err := json.Marshal(Report{System: "x", Scenarios: []*Scenario{{Name: "E1", Verdict: Right, Steps: []Step{{1.5, "did", "y"}}}}})
	if err != nil || !strings.Contains(string(b), `{"seconds":1.5,"kind":"did","text":"y"}`) {
		t.Errorf("%s, %v", b, err)
	}
}
