package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
	"google.golang.org/protobuf/proto"
)

// Request is one request to a store of etcd's shape, and what came of it.
type Request struct {
	ID     int // unique in the history
	Client int
	What   proto.Message // of etcd's KV or Lease service
	Call   int64
	Return int64 // Happened, and the client heard of it: when; math.MaxInt64: it never heard
	Fate   Fate
	Answer string // Happened: as Answer has it; "": nobody heard it
}

// String is one line of a story.
func (r Request) String() string {
	back := "never"
	if r.Return != math.MaxInt64 {
		back = fmt.Sprint(r.Return)
	}
	return fmt.Sprintf("#%d client %d %T %v: %s [%d, %s]", r.ID, r.Client, r.What, r.What, r.Answer, r.Call, back)
}

// CheckEtcd says what is wrong with a history of requests, or nil: that they
// are linearizable, with the answers, revisions and all, that a store of etcd's
// shape gives that begins empty. Requests that did not happen are left out; one
// of unknown fate is an error. patience bounds the search, whose end without an
// answer is an error too.
func CheckEtcd(all []Request, patience time.Duration) error {
	var rs []Request
	for _, r := range all {
		switch r.Fate {
		case Happened:
			rs = append(rs, r)
		case Unknown:
			return fmt.Errorf("nobody has said what became of %s", r)
		}
	}
	slices.SortStableFunc(rs, func(a, b Request) int { return cmp.Compare(a.Call, b.Call) })
	switch searchEtcd(rs, patience) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("no answer within %s whether %d requests are linearizable", patience, len(rs))
	}
	lo, hi := 1, len(rs) // as in shortest
	for lo < hi {
		if mid := (lo + hi) / 2; searchEtcd(rs[:mid], patience) != porcupine.Illegal {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	var b strings.Builder
	for _, r := range rs[max(hi-maxStory, 0):hi] {
		fmt.Fprintf(&b, "  %s\n", r)
	}
	return fmt.Errorf("not linearizable, the last %d of %d requests:\n%s", min(hi, maxStory), hi, b.String())
}

func searchEtcd(rs []Request, patience time.Duration) porcupine.CheckResult {
	history := make([]porcupine.Operation, len(rs))
	for i, r := range rs {
		history[i] = porcupine.Operation{ClientId: r.Client, Input: r, Call: r.Call, Return: r.Return}
	}
	model := porcupine.Model{
		Init: func() any { return NewEtcd() },
		Step: func(state, input, _ any) (bool, any) {
			r := input.(Request) //nolint:forcetypeassert // it is given nothing else
			next, answer := state.(*Etcd).Do(r.What)
			return r.Answer == "" || r.Answer == answer, next
		},
		Equal: func(a, b any) bool { return a.(*Etcd).same(b.(*Etcd)) },
	}
	return porcupine.CheckOperationsTimeout(model, history, patience)
}
