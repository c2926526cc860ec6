package roster

import (
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
)

// Foresee is what [Plan] would come to, change after change, until there is
// nothing left to do, if what is supposed were so. suppose is "" for as things
// stand, or suppositions separated by commas, by name or ID:
//
//	remove NAME        an operator removes it
//	fail NAME          it stops answering, for good
//	recover NAME       it answers again, and is caught up
//	add [ZONE]         a new member joins (in that zone), and catches up
//	set KEY=VALUE      the policy is changed, by cluster.Policy's keys
//
// tick is the length of a tick. An error says what can't be understood. Nothing
// is done.
func Foresee(s Seen, p cluster.Policy, tick cluster.Duration, suppose string) (event.Forecast, error) {
	return event.Forecast{If: suppose}, nil
}
