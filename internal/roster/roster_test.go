package roster

import (
	"reflect"
	"testing"
	"time"

	"github.com/musterhq/muster/cluster"
)

func TestTarget(t *testing.T) {
	for _, c := range []struct{ members, policy, want int }{
		{1, 0, 1}, {2, 0, 1}, {3, 0, 3}, {4, 0, 3}, {5, 0, 5}, {6, 0, 5}, {100, 0, 5},
		{9, 7, 7}, {7, 6, 5}, {4, 1, 1}, {4, 2, 1}, {0, 0, 1},
	} {
		if got := Target(c.members, Policy{TargetVoters: c.policy}); got != c.want {
			t.Errorf("Target(%d, %d) = %d, want %d", c.members, c.policy, got, c.want)
		}
	}
}

// TestPolicyOf: what a policy leaves unsaid has its default, never is never, and
// a time that isn't zero is at least a tick.
func TestPolicyOf(t *testing.T) {
	const ms, s, tick = cluster.Duration(time.Millisecond), cluster.Duration(time.Second), cluster.Duration(100 * time.Millisecond)
	for _, c := range []struct {
		p    cluster.Policy
		want Policy
	}{
		{cluster.Policy{}, Policy{StabilityTicks: 10, LearnerExpiryTicks: 6000, DeadTicks: 300, RemoveTicks: 864000, Tick: tick}},
		{cluster.Policy{JoinExpiry: cluster.Never, DeadAfter: cluster.Never, RemoveAfter: cluster.Never}, Policy{StabilityTicks: 10, Tick: tick}},
		{cluster.Policy{Stability: 1, JoinExpiry: 101 * ms, DeadAfter: 2 * s, RemoveAfter: 1000 * 365 * 24 * 3600 / 4 * s},
			Policy{StabilityTicks: 1, LearnerExpiryTicks: 2, DeadTicks: 20, RemoveTicks: 1<<31 - 1, Tick: tick}},
		{cluster.Policy{TargetVoters: 3, Floor: 1, LeaderZones: []string{"a"}},
			Policy{TargetVoters: 3, Floor: 1, LeaderZones: []string{"a"}, StabilityTicks: 10, LearnerExpiryTicks: 6000, DeadTicks: 300, RemoveTicks: 864000, Tick: tick}},
	} {
		if got := PolicyOf(c.p, tick); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v:\n got %+v\nwant %+v", c.p, got, c.want)
		}
	}
}

// TestGrowsToTarget: when all are well, a cluster of any size founded by any
// number ends at its target, two founders without a third member excepted.
func TestGrowsToTarget(t *testing.T) {
	for members := 1; members <= 9; members++ {
		for founders := 1; founders <= members; founders++ {
			s := Seen{Leader: 1}
			for i := range members {
				m := MemberSeen{Member: cluster.Member{ID: cluster.NodeID(i + 1), Role: cluster.Learner}, Active: true, ActiveTicks: 10, CaughtUp: true}
				if i < founders {
					m.Member.Role = cluster.Voter
				}
				s.Members = append(s.Members, m)
			}
			for {
				c, _ := Plan(s, Policy{})
				if c.Empty() {
					break
				}
				s = apply(s, c)
			}
			got, want := len(newView(s, Policy{}).voters), Target(members, Policy{})
			if got != want && (members != 2 || founders != 2) {
				t.Errorf("%d members, %d founders: %d voters, want %d", members, founders, got, want)
			}
		}
	}
}
