package sim

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/internal/history"
	"github.com/musterhq/muster/statemachine"
)

// command is what clients propose.
type command struct {
	Op    int          `json:"op"` // unique in the world
	Kind  history.Kind `json:"kind"`
	Key   string       `json:"key"`
	Value string       `json:"value"`
	Old   string       `json:"old,omitempty"`
}

func (c command) encode() []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // plain data: cannot fail
	}
	return b
}

// registers is the machine: a few registers in memory, and now and then on
// disk, unsynced, as a machine is allowed to.
type registers struct {
	w     *World
	fs    *crashfs.FS
	dir   string
	state state
	every uint64 // entries between two writes to disk
	wrote uint64 // applied index of the last
}

// state is what an image holds.
type state struct {
	Applied uint64            `json:"applied"`
	Values  map[string]string `json:"values"`          // encoding/json sorts the keys
	Image   int               `json:"image,omitempty"` // of a keyspace, whose receipt this is
}

var _ statemachine.Machine = (*registers)(nil)

const stateName = "registers"

// Open implements statemachine.Machine.
func (r *registers) Open(dir string) (uint64, error) {
	r.dir = dir
	r.state = state{Values: map[string]string{}}
	b, err := r.fs.ReadFile(r.fs.PathJoin(dir, stateName))
	if err == nil && len(b) > 0 {
		var s state
		if json.Unmarshal(b, &s) == nil && s.Values != nil { // else it was torn: the log has it
			r.state = s
		}
	}
	r.wrote = r.state.Applied
	return r.state.Applied, nil
}

// Apply implements statemachine.Machine.
func (r *registers) Apply(through uint64, entries []statemachine.Entry) ([]statemachine.Result, error) {
	results := make([]statemachine.Result, len(entries))
	at := r.state.Applied
	for i, e := range entries {
		if e.Index < at || e.Index <= r.state.Applied || e.Index > through {
			return nil, fmt.Errorf("entry %d of a batch through %d after %d", e.Index, through, r.state.Applied)
		}
		at = e.Index
		var c command
		if err := json.Unmarshal(e.Command, &c); err != nil {
			return nil, err
		}
		results[i] = r.carryOut(c)
	}
	r.state.Applied = through
	if through-r.wrote >= r.every {
		r.wrote = through
		if err := r.write(r.fs.PathJoin(r.dir, stateName), false); err != nil {
			return nil, err
		}
	}
	return results, nil
}

func (r *registers) carryOut(c command) bool {
	if c.Kind == history.CAS && r.state.Values[c.Key] != c.Old {
		return false
	}
	r.state.Values[c.Key] = c.Value
	return true
}

// write replaces a file by the state.
func (r *registers) write(name string, sync bool) error {
	b, err := json.Marshal(r.state)
	if err != nil {
		return err
	}
	tmp := name + ".tmp"
	f, err := r.fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err = f.Write(b); err == nil && sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = r.fs.Rename(tmp, name)
	}
	if err == nil && sync {
		err = r.syncDir()
	}
	return err
}

func (r *registers) syncDir() error {
	d, err := r.fs.OpenDir(r.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Checkpoint implements statemachine.Machine.
func (r *registers) Checkpoint(dir string) error {
	return r.write(r.fs.PathJoin(dir, stateName), false)
}

// Restore implements statemachine.Machine.
func (r *registers) Restore(dir string, through uint64) error {
	b, err := r.fs.ReadFile(r.fs.PathJoin(dir, stateName))
	if err != nil {
		return err
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if s.Applied > through {
		return fmt.Errorf("an image at %d holds entries through %d", through, s.Applied)
	}
	s.Applied = through
	r.state, r.wrote = s, through
	return r.write(r.fs.PathJoin(r.dir, stateName), true)
}

// Durable implements statemachine.Machine.
func (r *registers) Durable() (uint64, error) { return 0, nil }

// Close implements statemachine.Machine.
func (r *registers) Close() error { return nil }

// sum is equal for equal states.
func (s *state) sum() uint64 {
	h := fnv.New64a()
	var keys []string
	for k := range s.Values {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		fmt.Fprintf(h, "%s=%s\n", k, s.Values[k])
	}
	return h.Sum64()
}
