package replica

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/cluster"
)

func newcomer(i int) cluster.Member {
	return cluster.Member{ID: cluster.NodeID(100 + i), Name: fmt.Sprintf("j%d", i), Role: cluster.Learner}
}

// leading is a replica as it is while it leads, with no learner yet.
func leading() *Replica {
	r := &Replica{cfg: Config{ElectionTicks: 10, Tick: cluster.Duration(100 * time.Millisecond), Self: cluster.Member{ID: 1}}, termStart: 1}
	r.membership = cluster.Membership{Members: []cluster.Member{{ID: 1, Role: cluster.Voter}}}
	r.peers.heard, r.peers.lags, r.peers.added = map[cluster.NodeID]*heard{}, map[cluster.NodeID]*lag{}, map[cluster.NodeID]uint64{}
	return r
}

// add makes a newcomer a learner that has not been heard yet.
func (r *Replica) add(m cluster.Member) {
	r.membership.Put(m)
	r.peers.added[m.ID] = r.tick
	r.LoseTurn(m.ID)
}

// TestNewcomersTakeTurns: as many as may catch up at a time are let in, the
// others in the order in which they asked, when those before them have caught
// up, have not shown up, or have stopped asking.
func TestNewcomersTakeTurns(t *testing.T) {
	r := leading()
	turn := func(i int) bool { return r.Turn(newcomer(i)) == nil }
	for i := range maxNewcomers {
		if !turn(i) {
			t.Fatalf("newcomer %d has to wait", i)
		}
		if !turn(i) {
			t.Fatalf("newcomer %d lost its turn by asking again", i)
		}
	}
	for i := maxNewcomers; i < 12; i++ {
		wait := r.Turn(newcomer(i))
		if wait == nil || wait.Code != "rate_limited" || !strings.Contains(wait.Reason, fmt.Sprintf("%d that asked earlier", i-maxNewcomers)) {
			t.Fatalf("newcomer %d: %+v", i, wait)
		}
	}
	for i := range maxNewcomers {
		r.add(newcomer(i))
	}
	if turn(8) {
		t.Fatal("let in while as many as may catch up")
	}
	r.peers.heard[newcomer(3).ID] = &heard{caughtUp: true}
	if turn(9) {
		t.Fatal("the second in the queue was let in before the first")
	}
	if !turn(8) {
		t.Fatal("one has caught up, and the first in the queue has to wait")
	}
	r.LoseTurn(newcomer(8).ID) // it can't be reached
	if !turn(9) || turn(8) {
		t.Fatal("one that can't be reached must go behind the others")
	}
	r.add(newcomer(9))
	if turn(10) {
		t.Fatal("too many")
	}
	why := r.whyJoinsWait()
	if len(why) != 1 || !strings.Contains(why[0].Text, "3 joins wait: j10") {
		t.Fatalf("why: %v", why)
	}
	// None that was added shows up: they don't keep the others waiting for ever.
	for range showUpTimeouts*r.cfg.ElectionTicks + 1 {
		r.tick++
		turn(8)
	}
	if !turn(8) {
		t.Fatal("newcomers that don't show up hold others up")
	}
	// And those that have stopped asking are forgotten.
	r.tick += uint64(waitTimeouts*r.cfg.ElectionTicks) + 1
	r.forgetWaiters()
	if len(r.peers.waiting) > 0 {
		t.Fatalf("they stopped asking: %v", r.peers.waiting)
	}
}
