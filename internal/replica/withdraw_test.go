package replica

import (
	"slices"
	"testing"
)

// TestManyWithdrawn: when there is no leader, all give up, who has waited longest first.
// What that costs does not grow with how many there are: the member has an election
// to win meanwhile.
func TestManyWithdrawn(t *testing.T) {
	n := newWorld(t, 1, 3, 3).nodes[1]
	const many = 1000
	for i := range many {
		n.rep.Propose([]byte("x"))
		n.rep.Read(uint64(i))
	}
	waiting, reads := &n.rep.proposals.waiting, &n.rep.reads.waiting
	if cost := testing.AllocsPerRun(many/2-1, func() {
		if !n.rep.Withdraw((*waiting)[0].id.Seq) {
			t.Fatal("a command that waits can't be withdrawn")
		}
		n.rep.WithdrawRead((*reads)[0])
	}); cost != 0 {
		t.Errorf("%v allocations to give up", cost)
	}
	if len(*waiting) != many/2 || len(*reads) != many/2 {
		t.Fatalf("%d commands and %d reads wait, want %d of each", len(*waiting), len(*reads), many/2)
	}
	last := (*waiting)[len(*waiting)-1].id.Seq // in the middle and at the end, too
	for _, seq := range []uint64{last, last - 7} {
		if !n.rep.Withdraw(seq) || n.rep.Withdraw(seq) {
			t.Errorf("command %d can be withdrawn, once", seq)
		}
	}
	for _, token := range []uint64{many - 1, many - 8} {
		n.rep.WithdrawRead(token)
		if slices.Contains(*reads, token) {
			t.Errorf("read %d still waits", token)
		}
	}
	if count, bytes := n.rep.Waiting(); count != many/2-2 || bytes != int64(count) {
		t.Errorf("%d commands of %d bytes wait", count, bytes)
	}
}
