package mustertest

import (
	"slices"
	"sync"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/statemachine"
)

// Member is one start of a member: after a restart there is another.
type Member struct {
	*muster.Node
	Name    string
	Machine statemachine.Machine // what Options.Machine made for it

	mu     sync.Mutex
	events []event.Event
}

// listen records events and passes them on.
func (m *Member) listen(next func(event.Event)) func(event.Event) {
	return func(e event.Event) {
		m.mu.Lock()
		m.events = append(m.events, e)
		m.mu.Unlock()
		if next != nil {
			next(e)
		}
	}
}

// Events are those of this start so far, oldest first.
func (m *Member) Events() []event.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.events)
}

// Saw says whether an event of that kind was among them.
func (m *Member) Saw(kind string) bool {
	return slices.ContainsFunc(m.Events(), func(e event.Event) bool { return e.Kind() == kind })
}

// Journal is its machine, nil if that is none.
func (m *Member) Journal() *Journal {
	j, _ := m.Machine.(*Journal)
	return j
}
