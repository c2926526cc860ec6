package server

import (
	"sync"
	"time"

	"github.com/musterhq/muster/event"
)

// maxEvents is how many events a server remembers.
const maxEvents = 512

// Recorded is one event as GET /v1/events shows it.
type Recorded struct {
	Time  time.Time   `json:"time"`
	Kind  string      `json:"kind"`
	Text  string      `json:"text"`
	Event event.Event `json:"event"` // the typed value, by its fields
}

// recorder keeps the latest events and counts what the metrics show of them.
type recorder struct {
	mu      sync.Mutex
	ring    [maxEvents]Recorded
	n       uint64 // events so far; the next goes to n % maxEvents
	leaders uint64 // times that a leader was seen to begin
}

// add is called by one goroutine; it may overlap the readers.
func (r *recorder) add(e event.Event, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ring[r.n%maxEvents] = Recorded{Time: now, Kind: e.Kind(), Text: e.Text(), Event: e}
	r.n++
	if l, ok := e.(event.LeaderChanged); ok && l.Leader != 0 {
		r.leaders++
	}
}

// latest is a copy of what is remembered, oldest first.
func (r *recorder) latest() []Recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := uint64(0)
	if r.n > maxEvents {
		first = r.n - maxEvents
	}
	out := make([]Recorded, 0, r.n-first)
	for i := first; i < r.n; i++ {
		out = append(out, r.ring[i%maxEvents])
	}
	return out
}

func (r *recorder) leaderChanges() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leaders
}
