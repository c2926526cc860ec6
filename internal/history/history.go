// Package history is what clients of a register store saw, and whether it was
// linearizable: as if each operation happened at one moment between its call
// and its return (Herlihy and Wing, 1990).
//
// It knows nothing of how the operations were carried out, of clusters or of
// time: whoever records says when an operation was called and when it
// returned, in any unit that grows.
package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Kind is what an operation does to its key.
type Kind uint8

const (
	Get Kind = iota + 1
	Put      // sets the value
	CAS      // sets the value if it was Old
)

// String is the kind's name in stories.
func (k Kind) String() string {
	switch k {
	case Get:
		return "get"
	case Put:
		return "put"
	case CAS:
		return "cas"
	}
	return "unknown"
}

// Fate is what a client, or somebody who knows better, can say of an operation.
type Fate uint8

const (
	Unknown Fate = iota // it may have happened, or not, and may still
	Happened
	DidNot // it has not happened and will not
)

// Op is one operation. A key that was never set has the value "".
type Op struct {
	ID     int // unique in the history
	Client int
	Kind   Kind
	Key    string
	Value  string // Put, CAS: the new value
	Old    string // CAS
	Call   int64
	Return int64 // Happened, and the client heard of it: when; math.MaxInt64: it never heard
	Fate   Fate
	Got    string // Get: the value read
	Won    bool   // CAS: the value was Old, and was set
}

// String is one line of a story.
func (o Op) String() string {
	s := fmt.Sprintf("#%d client %d %s %s", o.ID, o.Client, o.Kind, o.Key)
	switch o.Kind {
	case Get:
		s += fmt.Sprintf(" = %q", o.Got)
	case Put:
		s += fmt.Sprintf(" %q", o.Value)
	case CAS:
		s += fmt.Sprintf(" %q to %q, won %v", o.Old, o.Value, o.Won)
	}
	back := "never"
	if o.Return != math.MaxInt64 {
		back = fmt.Sprint(o.Return)
	}
	return fmt.Sprintf("%s [%d, %s]", s, o.Call, back)
}

// Check says what is wrong with a history, or nil. Operations that did not
// happen are left out. An operation of unknown fate is an error: whoever has
// the log knows, and must say. patience bounds the search for each key, whose
// end without an answer is an error too.
func Check(ops []Op, patience time.Duration) error {
	byKey := map[string][]Op{}
	var keys []string
	for _, o := range ops {
		switch o.Fate {
		case DidNot:
			continue
		case Unknown:
			return fmt.Errorf("nobody has said what became of %s", o)
		}
		if byKey[o.Key] == nil {
			keys = append(keys, o.Key)
		}
		byKey[o.Key] = append(byKey[o.Key], o)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if err := checkKey(byKey[key], patience); err != nil {
			return fmt.Errorf("key %s: %w", key, err)
		}
	}
	return nil
}

func checkKey(ops []Op, patience time.Duration) error {
	switch search(ops, patience) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("no answer within %s whether %d operations are linearizable", patience, len(ops))
	}
	return fmt.Errorf("not linearizable:\n%s", story(shortest(ops, patience)))
}

// register is one key. An operation carries its output in itself.
func register() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, _ any) (bool, any) {
			have, o := state.(string), input.(Op)
			switch o.Kind {
			case Get:
				return o.Got == have, have
			case Put:
				return true, o.Value
			}
			won := have == o.Old
			if won {
				have = o.Value
			}
			return won == o.Won, have
		},
	}
}

// shortest cuts a history that isn't linearizable after the first return that
// makes it so: what was called later plays no part.
func shortest(ops []Op, patience time.Duration) []Op {
	ops = slices.Clone(ops)
	slices.SortFunc(ops, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	lo, hi := 1, len(ops)
	for lo < hi {
		mid := (lo + hi) / 2
		if search(ops[:mid], patience) != porcupine.Illegal {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return ops[:hi]
}

func search(ops []Op, patience time.Duration) porcupine.CheckResult {
	history := make([]porcupine.Operation, len(ops))
	for i, o := range ops {
		history[i] = porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Return: o.Return}
	}
	return porcupine.CheckOperationsTimeout(register(), history, patience)
}

// maxStory is how many operations are shown, the last ones.
const maxStory = 30

func story(ops []Op) string {
	var b strings.Builder
	if n := len(ops) - maxStory; n > 0 {
		fmt.Fprintf(&b, "  (%d operations before)\n", n)
		ops = ops[n:]
	}
	for _, o := range ops {
		fmt.Fprintf(&b, "  %s\n", o)
	}
	return b.String()
}
