package main

import (
	"sync"
	"time"

	"github.com/musterhq/muster/event"
)

const (
	feedSize = 6
	// feedSame is how long the same words of several members count as one.
	feedSame = 5 * time.Second
)

// feedLine is something that happened to one of the members.
type feedLine struct {
	at     time.Time
	member string
	text   string
}

// feed keeps what happened last, as one story of all members.
type feed struct {
	mu    sync.Mutex
	lines []feedLine
	total int // lines ever
}

func (f *feed) add(member string, e event.Event, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := e.Text()
	for _, l := range f.lines {
		if l.text == text && now.Sub(l.at) < feedSame {
			return
		}
	}
	f.lines = append(f.lines, feedLine{now, member, text})
	f.total++
	if n := len(f.lines) - feedSize; n > 0 {
		f.lines = append([]feedLine(nil), f.lines[n:]...)
	}
}

func (f *feed) latest() []feedLine {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]feedLine(nil), f.lines...)
}
