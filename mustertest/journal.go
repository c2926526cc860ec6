package mustertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/musterhq/muster/statemachine"
)

// Journal is a machine that remembers every command with its index, on disk.
// The result of a command is how many it has then: 1 for the first. It fails,
// and so stops its node, when it is given an index twice or out of order.
//
// The zero value is ready. Set Before before the node starts.
type Journal struct {
	// Before is called before each Apply, by the goroutine that drives the
	// machine. It may block; its error stops the node. nil: nothing.
	Before func(through uint64, entries []statemachine.Entry) error

	mu       sync.Mutex
	file     *os.File
	through  uint64
	commands []Command
}

// Command is one applied command.
type Command struct {
	Index   uint64
	Command string
}

// line is one Apply in the file, as JSON on a line of its own.
type line struct {
	Through  uint64
	Commands []Command
}

const journalFile = "journal"

// Commands are those applied, in order.
func (j *Journal) Commands() []Command {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.commands)
}

// Count says how often a command was applied.
func (j *Journal) Count(command string) int {
	n := 0
	for _, c := range j.Commands() {
		if c.Command == command {
			n++
		}
	}
	return n
}

// Open implements [statemachine.Machine]. A line that a crash cut is dropped.
func (j *Journal) Open(dir string) (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.through, j.openLocked(filepath.Join(dir, journalFile))
}

func (j *Journal) openLocked(name string) error {
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("open journal: %w", err)
	}
	whole := bytes.LastIndexByte(b, '\n') + 1
	if err := j.readLocked(b[:whole]); err != nil {
		return fmt.Errorf("open journal %s: %w", name, err)
	}
	if j.file, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	if err := j.file.Truncate(int64(whole)); err != nil {
		return fmt.Errorf("open journal: %w", errors.Join(err, j.file.Close()))
	}
	return nil
}

// readLocked takes whole lines for the state.
func (j *Journal) readLocked(b []byte) error {
	j.through, j.commands = 0, nil
	for l := range bytes.Lines(b) {
		var x line
		if err := json.Unmarshal(l, &x); err != nil {
			return err
		}
		j.through = x.Through
		j.commands = append(j.commands, x.Commands...)
	}
	return nil
}

// Apply implements [statemachine.Machine].
func (j *Journal) Apply(through uint64, entries []statemachine.Entry) ([]statemachine.Result, error) {
	if j.Before != nil {
		if err := j.Before(through, entries); err != nil {
			return nil, err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if through <= j.through {
		return nil, fmt.Errorf("journal: apply through %d: %d was applied already", through, j.through)
	}
	x := line{Through: through}
	results := make([]statemachine.Result, len(entries))
	last := j.through + 1 // lowest index that may come
	for i, e := range entries {
		if e.Index < last || e.Index > through {
			return nil, fmt.Errorf("journal: entry with index %d after %d, in what goes through %d", e.Index, last-1, through)
		}
		last = e.Index
		x.Commands = append(x.Commands, Command{e.Index, string(e.Command)})
		results[i] = len(j.commands) + len(x.Commands)
	}
	b, err := json.Marshal(x)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	if _, err := j.file.Write(append(b, '\n')); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	j.through, j.commands = through, append(j.commands, x.Commands...)
	return results, nil
}

// Checkpoint implements [statemachine.Machine].
func (j *Journal) Checkpoint(dir string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	b, err := json.Marshal(line{j.through, j.commands})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, journalFile), append(b, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("checkpoint journal: %w", err)
	}
	return nil
}

// Restore implements [statemachine.Machine].
func (j *Journal) Restore(dir string, through uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.restoreLocked(dir, through); err != nil {
		return fmt.Errorf("restore journal: %w", err)
	}
	return nil
}

func (j *Journal) restoreLocked(dir string, through uint64) error {
	b, err := os.ReadFile(filepath.Join(dir, journalFile))
	if err != nil {
		return err
	}
	name := j.file.Name()
	if err := writeSynced(name+".new", b); err != nil {
		return err
	}
	if err := j.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(name+".new", name); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(name)); err != nil {
		return err
	}
	if err := j.openLocked(name); err != nil {
		return err
	}
	if j.through != through {
		return fmt.Errorf("the image is at index %d, not %d", j.through, through)
	}
	return nil
}

func writeSynced(name string, b []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Durable implements [statemachine.Machine].
func (j *Journal) Durable() (uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.file.Sync(); err != nil {
		return 0, fmt.Errorf("sync journal: %w", err)
	}
	return j.through, nil
}

// Close implements [statemachine.Machine]. What was applied can still be read.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.file.Close()
}
