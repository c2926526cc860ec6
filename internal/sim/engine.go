package sim

import (
	"fmt"

	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/statemachine"
)

// engine is the machine of a process, as the world looks at it: registers, or a
// keyspace.
type engine interface {
	statemachine.Machine
	at() uint64               // applied index
	differs(t *truth) string  // how its state is another than the log makes; "": it isn't
	get(a *attempt) (ok bool) // answers a read that may be answered now
}

// newEngine makes the machine of a process that boots.
func (w *World) newEngine(fs *crashfs.FS) engine {
	r := registers{w: w, fs: fs, every: uint64(5 + w.rng.IntN(60))}
	if w.plan.keyspace {
		return newKeyspace(r)
	}
	return &r
}

func (r *registers) at() uint64 { return r.state.Applied }

func (r *registers) differs(t *truth) string {
	if r.state.sum() != t.model.sum() {
		return fmt.Sprintf("%v, want %v", r.state.Values, t.model.Values)
	}
	return ""
}

func (r *registers) get(a *attempt) bool {
	a.op.Got = r.state.Values[a.op.Key]
	return true
}
