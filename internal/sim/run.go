package sim

import (
	"crypto/rand"
	"fmt"
	"io"
	randv2 "math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
)

// Result is what became of a run.
type Result struct {
	Seed       uint64
	Script     Script // that was carried out
	Failure    string // "": all is well
	Hash       uint64 // of the transcript
	Tail       []string
	Counters   map[string]int // what happened now and then, how often
	LeaderTook instant        // from the last fault to a leader
	Turns      uint64
	Ops        int // of clients
}

// global guards crypto/rand.Reader: one run at a time in a process.
var global sync.Mutex

// NewScript is the script of a seed.
func NewScript(seed uint64) Script { return newScript(seed, newPlan(seed)) }

// LateLeader says that it took longer than four election timeouts.
func (r *Result) LateLeader() bool { return r.LeaderTook > soonLeader }

// Run lets a world go through a script. The same seed and script give the same
// Result.
func Run(seed uint64, script Script) Result { return RunTo(nil, seed, script) }

// RunTo is Run, and prints the whole transcript with every message.
func RunTo(out io.Writer, seed uint64, script Script) (r Result) {
	global.Lock()
	defer global.Unlock()
	defer seedJitter(seed)()
	w := newWorld(seed, newPlan(seed))
	w.transcript.out = out
	defer func() {
		if p := recover(); p != nil {
			w.fail("panic: %v\n%s", p, debug.Stack())
		}
		w.close()
		r = w.result(script)
	}()
	w.live(script)
	return r
}

// seedJitter makes raft's election jitter, and nothing else that matters, come
// from the seed until the function it returns is called.
func seedJitter(seed uint64) (restore func()) {
	old := rand.Reader
	rand.Reader = io.Reader(randv2.NewChaCha8(key(seed, "jitter", 0)))
	return func() { rand.Reader = old }
}

func (w *World) live(script Script) {
	for _, n := range w.nodes {
		// Any order of starts, mostly near each other.
		d := w.jitter(second)
		if w.rng.IntN(4) == 0 {
			d = w.jitter(10 * second)
		}
		w.after(d, "first start", n.start)
	}
	w.clients.start()
	if w.plan.keyspace {
		w.startWatchers()
		w.startTenants()
	}
	for _, f := range script {
		w.after(f.At, f.Kind, func() { w.befall(f) })
	}
	w.runUntil(w.plan.trouble)
	if w.failure == "" {
		w.heal()
	}
	w.quiet()
	if w.failure == "" {
		w.watched()
		w.judge()
	}
}

// close ends the machines.
func (w *World) close() {
	for _, p := range w.running() {
		p.close()
	}
}

func (w *World) result(script Script) Result {
	return Result{
		Seed: w.seed, Script: script, Failure: w.failure, Hash: w.transcript.sum.Sum64(), Tail: w.transcript.end(),
		Counters: w.counters, LeaderTook: w.leaderTook, Turns: w.seq, Ops: len(w.clients.ops),
	}
}

// Shrink shortens a script that fails, for as long as tries are left: it takes
// away what the failure doesn't need. It must be the same failure, going by its
// first words. The result is the shortest script's.
func Shrink(failed Result, tries int) Result { return shrink(failed, tries, Run) }

func shrink(failed Result, tries int, run func(uint64, Script) Result) Result {
	best := failed
	for size := len(best.Script) / 2; size >= 1 && tries > 0; size /= 2 {
		for from := 0; from < len(best.Script) && tries > 0; {
			to := min(from+size, len(best.Script))
			script := append(append(Script{}, best.Script[:from]...), best.Script[to:]...)
			tries--
			if r := run(best.Seed, script); r.Failure != "" && sameKind(r.Failure, failed.Failure) {
				best = r
			} else {
				from = to
			}
		}
	}
	return best
}

// Explain is all there is to know of a failure, and how to see it again.
func Explain(r Result) string {
	return fmt.Sprintf("FAIL seed %d: %s\n\nthe end of the transcript:\n%s\n\nthe script, %d of %d lines:\n%s\nsee it again:\n  go run ./cmd/mustersim -first %d -keep %s -v\n",
		r.Seed, r.Failure, strings.Join(r.Tail, "\n"), len(r.Script), len(NewScript(r.Seed)), r.Script, r.Seed, Kept(r.Seed, r.Script))
}

// sameKind compares failures without their numbers and names.
func sameKind(a, b string) bool {
	plain := func(s string) string {
		s, _, _ = strings.Cut(s, "\n")
		return strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r >= 'a' && r <= 'f' {
				return -1
			}
			return r
		}, s)
	}
	return plain(a) == plain(b)
}

// Kept lists which lines of the seed's whole script a script has: what is
// needed to run it again.
func Kept(seed uint64, script Script) string {
	whole := NewScript(seed)
	var out []string
	at := 0
	for _, f := range script {
		for whole[at] != f {
			at++
		}
		out = append(out, fmt.Sprint(at))
	}
	return strings.Join(out, ",")
}

// Keep is the script of a seed with only the lines that Kept lists.
func Keep(seed uint64, lines []int) (Script, error) {
	whole := NewScript(seed)
	var out Script
	for _, i := range lines {
		if i < 0 || i >= len(whole) {
			return nil, fmt.Errorf("the script of seed %d has lines 0 to %d, not %d", seed, len(whole)-1, i)
		}
		out = append(out, whole[i])
	}
	return out, nil
}
