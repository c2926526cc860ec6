package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Report is what --json prints.
type Report struct {
	System    string      `json:"system"`
	Version   string      `json:"version"`
	Scenarios []*Scenario `json:"scenarios"`
}

// Verdict on one scenario.
type Verdict string

// The verdicts. Only Wrong and Unplayed make the program fail.
const (
	Right         Verdict = "right"
	Wrong         Verdict = "wrong"
	NotApplicable Verdict = "not applicable"
	Unplayed      Verdict = "could not be played"
)

// Scenario is how one went.
type Scenario struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Wanted  string   `json:"wanted"` // what is right
	Steps   []Step   `json:"steps"`
	Verdict Verdict  `json:"verdict"`
	Because []string `json:"because"` // faults, or what made it right
}

// Step is one thing done or seen.
type Step struct {
	Seconds float64 `json:"seconds"` // since the scenario began
	Kind    string  `json:"kind"`    // did or saw
	Text    string  `json:"text"`
}

// Right says whether everything that applies came out right.
func (r *Report) Right() bool {
	for _, s := range r.Scenarios {
		if s.Verdict != Right && s.Verdict != NotApplicable {
			return false
		}
	}
	return true
}

func (r *Report) summary() string {
	var parts []string
	for _, s := range r.Scenarios {
		parts = append(parts, s.Name+" "+string(s.Verdict))
	}
	return r.System + ": " + strings.Join(parts, ", ")
}

var titles = map[string]string{
	"E1": "two of three members lose their disks while the third is down",
	"E2": "six new nodes are started where three were expected",
	"E3": "a member that is behind, and one that has lost its disk, come back without the third",
}

var wanted = map[string]string{
	"E1": "no second cluster; nothing is merged into the third's data; the wiped ones wait, and say for whom",
	"E2": "never two clusters; refused, with the reason",
	"E3": "unavailable, never healthy and empty; when the third is back, every acknowledged key is there",
}

// teller tells a scenario as it goes, and keeps it. It may be used by several
// goroutines.
type teller struct {
	out   io.Writer
	begun time.Time

	mu     sync.Mutex
	s      *Scenario
	faults []string
	seen   map[string]bool // what was said already
}

func newTeller(name string, out io.Writer) *teller {
	t := &teller{out: out, begun: time.Now(), s: &Scenario{Name: name, Title: titles[name], Wanted: wanted[name]}, seen: map[string]bool{}}
	fmt.Fprintf(out, "\n%s: %s\n    right is: %s\n", name, t.s.Title, t.s.Wanted)
	return t
}

func (t *teller) did(format string, args ...any) { t.tell("did", fmt.Sprintf(format, args...)) }

// saw tells the same thing once.
func (t *teller) saw(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	t.mu.Lock()
	again := t.seen[text]
	t.seen[text] = true
	t.mu.Unlock()
	if !again {
		t.tell("saw", text)
	}
}

// anew lets what was seen before be told again.
func (t *teller) anew() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seen = map[string]bool{}
}

func (t *teller) tell(kind, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := time.Since(t.begun).Seconds()
	t.s.Steps = append(t.s.Steps, Step{Seconds: float64(int(at*10)) / 10, Kind: kind, Text: text})
	fmt.Fprintf(t.out, "  %5.1fs  %s  %s\n", at, kind, strings.ReplaceAll(text, "\n", "\n               "))
}

// fault is what should not have been; the same one counts once.
func (t *teller) fault(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.faults, text) {
		t.faults = append(t.faults, text)
	}
}

// end gives the verdict: wrong if there were faults, or else right for the
// reason given.
func (t *teller) end(because ...string) {
	t.verdict(Right, because...)
	if len(t.faults) > 0 {
		t.verdict(Wrong, t.faults...)
	}
}

func (t *teller) verdict(v Verdict, because ...string) { t.s.Verdict, t.s.Because = v, because }

func (t *teller) print() {
	fmt.Fprintf(t.out, "  => %s: %s\n", strings.ToUpper(string(t.s.Verdict)), strings.Join(t.s.Because, "; "))
}
