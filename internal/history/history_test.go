package history

import (
	"math"
	"strings"
	"testing"
	"time"
)

func put(id int, value string, call, back int64) Op {
	return Op{ID: id, Kind: Put, Key: "x", Value: value, Call: call, Return: back, Fate: Happened}
}

func get(id int, value string, call, back int64) Op {
	return Op{ID: id, Kind: Get, Key: "x", Got: value, Call: call, Return: back, Fate: Happened}
}

func cas(id int, old, value string, won bool, call, back int64) Op {
	return Op{ID: id, Kind: CAS, Key: "x", Old: old, Value: value, Won: won, Call: call, Return: back, Fate: Happened}
}

func TestCheck(t *testing.T) {
	never := int64(math.MaxInt64)
	other := put(9, "other", 1, 2)
	other.Key = "y"
	lost := put(8, "lost", 1, 2)
	lost.Fate = DidNot
	for _, c := range []struct {
		name string
		ops  []Op
		ok   bool
	}{
		{"nothing", nil, true},
		{"one after the other", []Op{put(1, "a", 1, 2), get(2, "a", 3, 4), cas(3, "a", "b", true, 5, 6), get(4, "b", 7, 8)}, true},
		{"at once, either order", []Op{put(1, "a", 1, 5), put(2, "b", 2, 4), get(3, "a", 6, 7)}, true},
		{"stale read", []Op{put(1, "a", 1, 2), put(2, "b", 3, 4), get(3, "a", 5, 6)}, false},
		{"a value nobody wrote", []Op{get(1, "a", 1, 2)}, false},
		{"read backwards", []Op{put(1, "a", 1, 9), get(2, "a", 2, 3), get(3, "", 4, 5)}, false},
		{"never returned, seen", []Op{put(1, "a", 1, never), get(2, "a", 8, 9)}, true},
		{"both won", []Op{cas(1, "", "a", true, 1, 2), cas(2, "", "b", true, 3, 4)}, false},
		{"lost although it was right", []Op{put(1, "a", 1, 2), cas(2, "a", "b", false, 3, 4)}, false},
		{"another key", []Op{other, get(2, "", 3, 4)}, true},
		{"did not happen", []Op{lost, get(2, "", 3, 4)}, true},
		{"did not happen, but seen", []Op{lost, get(2, "lost", 3, 4)}, false},
		{"unknown", []Op{{ID: 1, Kind: Put, Key: "x"}}, false},
	} {
		if err := Check(c.ops, time.Minute); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// The story ends with the operation that can't be explained.
func TestStory(t *testing.T) {
	ops := []Op{put(1, "a", 1, 2), put(2, "b", 3, 4), get(3, "a", 5, 6), put(4, "c", 7, 8), get(5, "c", 9, 10)}
	err := Check(ops, time.Minute)
	if err == nil || !strings.Contains(err.Error(), "#3") || strings.Contains(err.Error(), "#4") {
		t.Errorf("%v", err)
	}
}

func TestNoAnswerIsAnError(t *testing.T) {
	var ops []Op // all at once, and no order fits: the search has to try them all
	for i := range 24 {
		ops = append(ops, cas(i, "", string(rune('a'+i)), false, 1, 100))
	}
	if err := Check(ops, time.Nanosecond); err == nil {
		t.Error("a search that was cut off passed for an answer")
	}
}
