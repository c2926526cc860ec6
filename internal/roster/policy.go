package roster

import (
	"math"
	"time"

	"github.com/musterhq/muster/cluster"
)

// What a policy leaves unsaid; see cluster.Policy.
const (
	defaultDeadAfter   = cluster.Duration(30 * time.Second)
	defaultRemoveAfter = cluster.Duration(24 * time.Hour)
	defaultJoinExpiry  = cluster.Duration(10 * time.Minute)
)

// PolicyOf is a cluster's policy in ticks of the length given, with its
// defaults filled in. A time that is not zero is at least a tick.
func PolicyOf(p cluster.Policy, tick cluster.Duration) Policy {
	ticks := func(d, otherwise cluster.Duration) int {
		switch {
		case d == 0:
			d = otherwise
		case d < 0:
			return 0
		}
		return int(min((d+tick-1)/tick, math.MaxInt32))
	}
	return Policy{
		TargetVoters:       p.TargetVoters,
		Floor:              p.Floor,
		StabilityTicks:     ticks(p.Stability, defaultStabilityTicks*tick),
		LearnerExpiryTicks: ticks(p.JoinExpiry, defaultJoinExpiry),
		DeadTicks:          ticks(p.DeadAfter, defaultDeadAfter),
		RemoveTicks:        ticks(p.RemoveAfter, defaultRemoveAfter),
		LeaderZones:        p.LeaderZones,
		Tick:               tick,
	}
}
