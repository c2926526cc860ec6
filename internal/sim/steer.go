package sim

import (
	"maps"
	"slices"
	"strings"

	"github.com/musterhq/muster/internal/wire"
)

// settings are what operators change of the policy. One of them can't be.
var settings = []map[string]string{
	{"target-voters": "1"},
	{"target-voters": "3"}, {"target-voters": "3"},
	{"target-voters": "5"}, {"target-voters": "5"},
	{"target-voters": ""},
	{"floor": "1"}, {"floor": "2"}, {"floor": "3"},
	{"floor": ""}, {"floor": ""},
	{"dead-after": "2s"}, {"dead-after": "5s"}, {"dead-after": "never"},
	{"dead-after": "2s", "remove-after": "5s"},
	{"remove-after": ""},
	{"leader-zones": "z1"}, {"leader-zones": "z3,z2"},
	{"leader-zones": ""},
	{"stability": "1500ms"}, {"stability": ""},
	{"target-voters": "3", "floor": "5"},
}

// setPolicy changes what the cluster aims at.
func (w *World) setPolicy(f Fault) {
	w.ops.set(w.node(f.A).member(), settings[f.N%uint64(len(settings))])
}

// hold and release stop and let go on what the cluster does by itself.
func (w *World) hold(f Fault) {
	w.ops.set(w.node(f.A).member(), map[string]string{"paused": "by hand"})
}

func (w *World) release(f Fault) {
	w.ops.set(w.node(f.A).member(), map[string]string{"paused": ""})
}

// set asks for other settings.
func (o *operators) set(p *process, edits map[string]string) {
	if p == nil {
		return
	}
	var words []string
	for _, key := range slices.Sorted(maps.Keys(edits)) {
		words = append(words, key+"="+edits[key])
	}
	o.demand(p, "policy "+strings.Join(words, " "), wire.Change{Policy: edits})
}
