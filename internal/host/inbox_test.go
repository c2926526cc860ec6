package host

import "testing"

// TestInboxHasOneOwner: what was left when the inbox was closed belongs to who
// closed it. The loop, on its last round, must not see it too: each would
// finish the same proposals.
func TestInboxHasOneOwner(t *testing.T) {
	b := newInbox()
	p := &proposal{done: make(chan struct{}, 1)}
	if !b.put(func(in *inputs) { in.proposals = append(in.proposals, p) }) {
		t.Fatal("an open inbox took nothing")
	}
	left := b.close()
	in := b.take()
	if len(in.proposals) != 0 {
		t.Error("the loop sees what the end of the host has taken")
	}
	b.recycle(in)
	if len(left.proposals) != 1 || left.proposals[0] != p {
		t.Errorf("the end of the host has %v", left.proposals)
	}
	if b.put(func(*inputs) { t.Error("a closed inbox was given something") }) {
		t.Error("a closed inbox said that it took something")
	}
}
