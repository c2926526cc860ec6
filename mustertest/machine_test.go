package mustertest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/musterhq/muster/statemachine"
)

func journalState(m statemachine.Machine) (string, error) {
	var j *Journal
	switch x := m.(type) {
	case *Journal:
		j = x
	case interface{ journal() *Journal }:
		j = x.journal()
	}
	return fmt.Sprintf("%+v", j.Commands()), nil
}

func TestJournalKeepsTheContract(t *testing.T) {
	TestMachine(t, MachineTest{New: func() statemachine.Machine { return new(Journal) }, State: journalState})
}

// tally is a machine in memory.
type tally struct{ seen []string }

func (n *tally) Apply(command []byte) statemachine.Result {
	n.seen = append(n.seen, string(command))
	return strings.Join(n.seen, ",")
}

func (n *tally) Save(w io.Writer) error {
	_, err := io.WriteString(w, strings.Join(n.seen, "\n"))
	return err
}

func (n *tally) Load(r io.Reader) error {
	b, err := io.ReadAll(r)
	n.seen = nil
	if len(b) > 0 {
		n.seen = strings.Split(string(b), "\n")
	}
	return err
}

func TestInMemoryKeepsTheContract(t *testing.T) {
	TestMachine(t, MachineTest{New: func() statemachine.Machine { return statemachine.InMemory(&tally{}) }})
}

// faulty is a journal with one fault.
type faulty struct {
	Journal
	open    func(*faulty, string) (uint64, error)
	apply   func(*faulty, uint64, []statemachine.Entry) ([]statemachine.Result, error)
	restore func(*faulty, string, uint64) error
	durable func(*faulty) (uint64, error)
	kept    [][]byte
	image   string
}

func (f *faulty) journal() *Journal { return &f.Journal }

func (f *faulty) Open(dir string) (uint64, error) {
	if f.open != nil {
		return f.open(f, dir)
	}
	return f.Journal.Open(dir)
}

func (f *faulty) Apply(through uint64, es []statemachine.Entry) ([]statemachine.Result, error) {
	if f.apply != nil {
		return f.apply(f, through, es)
	}
	return f.Journal.Apply(through, es)
}

func (f *faulty) Restore(dir string, through uint64) error {
	if f.restore != nil {
		return f.restore(f, dir, through)
	}
	return f.Journal.Restore(dir, through)
}

func (f *faulty) Durable() (uint64, error) {
	if f.durable != nil {
		return f.durable(f)
	}
	return f.Journal.Durable()
}

func (f *faulty) Checkpoint(dir string) error {
	f.image = dir
	return f.Journal.Checkpoint(dir)
}

// TestMachineFindsFaults: each promise is broken by some machine, and found out.
func TestMachineFindsFaults(t *testing.T) {
	instances := 0
	for _, x := range []struct {
		promise string
		fault   *faulty
	}{
		{"EmptyIsZero", &faulty{open: func(f *faulty, dir string) (uint64, error) {
			at, err := f.Journal.Open(dir)
			return at + 1, err
		}}},
		{"ResultsPerEntry", &faulty{apply: func(f *faulty, through uint64, es []statemachine.Entry) ([]statemachine.Result, error) {
			r, err := f.Journal.Apply(through, es)
			return r[:min(1, len(r))], err
		}}},
		{"Deterministic", &faulty{apply: func(f *faulty, through uint64, es []statemachine.Entry) ([]statemachine.Result, error) {
			r, err := f.Journal.Apply(through, es)
			for i := range r {
				r[i] = fmt.Sprint(r[i], " of ", len(es)) // as if the grouping were part of the log
			}
			return r, err
		}}},
		{"WantedChangesNothing", &faulty{apply: func(f *faulty, through uint64, es []statemachine.Entry) ([]statemachine.Result, error) {
			for i, e := range es {
				if !e.Wanted {
					es[i].Command = append([]byte("unwanted "), e.Command...)
				}
			}
			return f.Journal.Apply(through, es)
		}}},
		{"CommandIsNotKept", &faulty{apply: func(f *faulty, through uint64, es []statemachine.Entry) ([]statemachine.Result, error) {
			r, err := f.Journal.Apply(through, es)
			for i, e := range es {
				f.kept = append(f.kept, e.Command)
				r[i] = string(bytes.Join(f.kept, []byte(",")))
			}
			return r, err
		}}},
		{"Reopen", &faulty{open: func(f *faulty, dir string) (uint64, error) {
			at, err := f.Journal.Open(dir)
			if at > 0 {
				f.commands = f.commands[:len(f.commands)-1] // the index was stored before its effects
			}
			return at, err
		}}},
		{"CrashAfterApply", &faulty{durable: func(f *faulty) (uint64, error) {
			at, err := f.Journal.Durable()
			if at > 0 {
				at++
			}
			return at, err
		}}},
		{"CheckpointStaysAsItIs", &faulty{apply: func(f *faulty, through uint64, es []statemachine.Entry) ([]statemachine.Result, error) {
			r, err := f.Journal.Apply(through, es)
			if f.image != "" {
				err = errors.Join(err, writeSynced(f.image+"/more", nil))
			}
			return r, err
		}}},
		{"RestoreReplaces", &faulty{restore: func(f *faulty, dir string, through uint64) error {
			if f.through > 0 {
				f.through = through // what is there is thought to be good enough
				return nil
			}
			return f.Journal.Restore(dir, through)
		}}},
		{"ReopenAfterRestore", &faulty{open: func(f *faulty, dir string) (uint64, error) {
			at, err := f.Journal.Open(dir)
			if at == half {
				at++
			}
			return at, err
		}}},
		{"DurableBesideApply", &faulty{durable: func(f *faulty) (uint64, error) {
			at, err := f.Journal.Durable()
			if at > half {
				at = 1
			}
			return at, err
		}}},
	} {
		t.Run(x.promise, func(t *testing.T) {
			w := &bench{tempDir: t.TempDir, MachineTest: MachineTest{State: journalState, Command: func(i int) []byte { return fmt.Appendf(nil, "c%d", i) }}}
			w.New = func() statemachine.Machine {
				instances++
				return &faulty{open: x.fault.open, apply: x.fault.apply, restore: x.fault.restore, durable: x.fault.durable}
			}
			for _, p := range promises {
				if p.name != x.promise {
					continue
				}
				err := w.keeps(p)
				if err == nil {
					t.Error("the fault was not found")
				}
				t.Log(err)
			}
		})
	}
	if instances == 0 {
		t.Error("nothing was tried")
	}
}
