package mustertest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/musterhq/muster/statemachine"
)

// MachineTest says what [TestMachine] needs to know of a machine.
type MachineTest struct {
	// New makes a machine that is not open yet. Required.
	New func() statemachine.Machine

	// Command is the i-th command of a series, i from 0 on: always the same
	// for the same i, and varied enough to change all parts of the state.
	// Default: the text "command i".
	Command func(i int) []byte

	// State describes the state of an open machine: the same for two machines
	// if and only if they hold the same. Default: nothing, and only the
	// results of commands are compared, as fmt prints them.
	State func(m statemachine.Machine) (string, error)
}

// TestMachine holds a machine against the contract of [statemachine.Machine]:
// what a cluster relies on, and what goes wrong months later where it is not
// kept. It runs one subtest for each promise.
func TestMachine(t *testing.T, x MachineTest) {
	if x.Command == nil {
		x.Command = func(i int) []byte { return fmt.Appendf(nil, "command %d", i) }
	}
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) {
			w := &bench{MachineTest: x, tempDir: t.TempDir}
			if err := w.keeps(p); err != nil {
				t.Error(err)
			}
		})
	}
}

// promise is one part of the contract and how it is tried.
type promise struct {
	name string
	try  func(*bench) error
}

var promises = []promise{
	{"EmptyIsZero", (*bench).emptyIsZero},
	{"ResultsPerEntry", (*bench).resultsPerEntry},
	{"Deterministic", (*bench).deterministic},
	{"WantedChangesNothing", (*bench).wantedChangesNothing},
	{"CommandIsNotKept", (*bench).commandIsNotKept},
	{"Reopen", (*bench).reopen},
	{"CrashAfterApply", (*bench).crashAfterApply},
	{"CheckpointStaysAsItIs", (*bench).checkpointStaysAsItIs},
	{"RestoreReplaces", (*bench).restoreReplaces},
	{"ReopenAfterRestore", (*bench).reopenAfterRestore},
	{"DurableBesideApply", (*bench).durableBesideApply},
}

// bench is where one promise is tried.
type bench struct {
	MachineTest
	tempDir func() string
	open    []*subject
}

// keeps tries one promise and closes the machines that it opened.
func (w *bench) keeps(p promise) (err error) {
	defer func() {
		for _, s := range w.open {
			if cerr := s.Close(); cerr != nil && err == nil {
				err = fmt.Errorf("Close: %w", cerr)
			}
		}
		w.open = nil
	}()
	return p.try(w)
}

// subject is an open machine, and what it was given.
type subject struct {
	statemachine.Machine
	w       *bench
	dir     string
	opened  uint64   // what Open returned
	through uint64   // what it holds
	results []string // of wanted entries, by index
}

func (w *bench) start(dir string) (*subject, error) {
	s := &subject{Machine: w.New(), w: w, dir: dir}
	var err error
	if s.opened, err = s.Open(dir); err != nil {
		return nil, fmt.Errorf("Open: %w", err)
	}
	s.through = s.opened
	w.open = append(w.open, s)
	return s, nil
}

func (s *subject) stop() error {
	s.w.open = slices.DeleteFunc(s.w.open, func(o *subject) bool { return o == s })
	if err := s.Close(); err != nil {
		return fmt.Errorf("Close: %w", err)
	}
	return nil
}

// The log that machines are driven with: command i is in the entry at index
// firstIndex + i/2, so that two share one.
const (
	firstIndex = 2
	commands   = 60
)

func indexOf(i int) uint64 { return uint64(firstIndex + i/2) }

// lastIndex is that of the last command.
var lastIndex = indexOf(commands - 1)

// entries are those with indexes above after, through through.
func (w *bench) entries(after, through uint64, wanted bool) []statemachine.Entry {
	var out []statemachine.Entry
	for i := range commands {
		if at := indexOf(i); at > after && at <= through {
			out = append(out, statemachine.Entry{Index: at, Command: w.Command(i), Wanted: wanted})
		}
	}
	return out
}

// apply brings the machine through an index, step indexes at a time.
func (s *subject) apply(through, step uint64, wanted bool) error {
	for s.through < through {
		to := min(s.through+step, through)
		if err := s.applyEntries(to, s.w.entries(s.through, to, wanted)); err != nil {
			return err
		}
	}
	return nil
}

func (s *subject) applyEntries(through uint64, entries []statemachine.Entry) error {
	results, err := s.Apply(through, entries)
	if err != nil {
		return fmt.Errorf("Apply through %d: %w", through, err)
	}
	if len(results) != len(entries) {
		return fmt.Errorf("Apply gave %d results for %d entries", len(results), len(entries))
	}
	s.through = through
	for i, e := range entries {
		if e.Wanted {
			s.results = append(s.results, fmt.Sprintf("%d: %+v", e.Index, results[i]))
		}
	}
	return nil
}

// same compares two machines that should hold the same.
func (s *subject) same(o *subject, what string) error {
	if s.through != o.through {
		return fmt.Errorf("%s: through %d and %d", what, s.through, o.through)
	}
	if s.w.State == nil {
		return nil
	}
	a, err := s.w.State(s.Machine)
	if err != nil {
		return fmt.Errorf("State: %w", err)
	}
	b, err := s.w.State(o.Machine)
	if err != nil {
		return fmt.Errorf("State: %w", err)
	}
	if a != b {
		return fmt.Errorf("%s: the states differ:\n%s\n%s", what, a, b)
	}
	return nil
}

// sameFuture applies the rest of the log to both and compares what comes of it.
func (s *subject) sameFuture(o *subject, what string) error {
	s.results, o.results = nil, nil
	for _, x := range []*subject{s, o} {
		if err := x.apply(lastIndex, 3, true); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	if !slices.Equal(s.results, o.results) {
		return fmt.Errorf("%s: later results differ:\n%v\n%v", what, s.results, o.results)
	}
	return s.same(o, what)
}
