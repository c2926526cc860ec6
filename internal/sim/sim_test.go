package sim

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/musterhq/muster/internal/race"
)

var (
	seeds = flag.Int("sim.seeds", 200, "how many seeds TestSeeds runs")
	first = flag.Uint64("sim.first", 1, "the first of them")
)

// TestSeeds runs a few worlds; `make sim` runs many. Replay a failing one with
// the command that it prints.
func TestSeeds(t *testing.T) {
	n := *seeds
	if testing.Short() || race.Enabled {
		n = min(n, 40)
	}
	for i := range n {
		seed := *first + uint64(i)
		if r := Run(seed, NewScript(seed)); r.Failure != "" {
			t.Fatal(Explain(Shrink(r, 100)))
		}
	}
}

// found are worlds that found a fault of muster's; each was seen to fail before
// the fault was mended. docs/robustness.md tells what they were. As scripts are
// drawn otherwise when this package changes, they may no longer meet it: the
// mutants see to it that the faults themselves stay findable.
var found = []uint64{4, 13, 31, 38, 90, 176, 638, 1239, 1370, 1624, 1724, 4518, 6016}

func TestFound(t *testing.T) {
	for _, seed := range found {
		if r := Run(seed, NewScript(seed)); r.Failure != "" {
			t.Error(Explain(r))
		}
	}
}

// TestSameTranscript: without it, a seed is worth nothing. The same seeds run in
// this process and in others, with other numbers of processors, another garbage
// collector setting and, when this test runs under the race detector, without it.
func TestSameTranscript(t *testing.T) {
	const from, n = 100, 8
	bin := filepath.Join(t.TempDir(), "mustersim")
	build := exec.Command("go", "build", "-o", bin, "github.com/musterhq/muster/cmd/mustersim")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for seed := uint64(from); seed < from+n; seed++ {
		r := Run(seed, NewScript(seed))
		again := Run(seed, NewScript(seed))
		if r.Hash != again.Hash {
			t.Fatalf("seed %d: two runs in one process differ", seed)
		}
		want := fmt.Sprintf("transcript %016x", r.Hash)
		for _, env := range [][]string{{"GOMAXPROCS=1", "GOGC=off"}, {"GOMAXPROCS=8", "GOGC=5"}} {
			cmd := exec.Command(bin, "-first", fmt.Sprint(seed))
			cmd.Env = append(os.Environ(), env...)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("seed %d with %v: %v, want %s\n%s", seed, env, err, want, out)
			}
		}
	}
}

// TestShrink: a script is shortened to what the failure needs, and can be named.
func TestShrink(t *testing.T) {
	const seed = 5
	whole := NewScript(seed)
	needed := whole[len(whole)/2]
	r := shrink(Result{Seed: seed, Script: whole, Failure: "it was 7 o'clock"}, 200, func(_ uint64, s Script) Result {
		for _, f := range s {
			if f == needed {
				return Result{Seed: seed, Script: s, Failure: "it was 8 o'clock"}
			}
		}
		return Result{Seed: seed, Script: s}
	})
	if len(r.Script) != 1 || r.Script[0] != needed {
		t.Fatalf("shortened to\n%s", r.Script)
	}
	if kept := Kept(seed, r.Script); kept != fmt.Sprint(len(whole)/2) {
		t.Errorf("kept %s", kept)
	}
	again, err := Keep(seed, []int{len(whole) / 2})
	if err != nil || again[0] != needed {
		t.Errorf("%v, %v", again, err)
	}
	if _, err := Keep(seed, []int{len(whole)}); err == nil {
		t.Error("a line that isn't there was kept")
	}
}
