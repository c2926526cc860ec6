package replica

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/musterhq/muster/event"
)

// told is what the events of a node since the last call say of members.
func (n *node) told() (texts []string) {
	for _, e := range n.seen.events {
		if k := e.Kind(); strings.HasPrefix(k, "member_") || k == "promoted" || k == "demoted" {
			texts = append(texts, e.Text())
		}
	}
	n.seen.events = nil
	return texts
}

// TestDiskLostIsTold: while a member is there twice, as after the loss of its
// disk, what is told of it says which of the two. What was told is not told
// again after a restart, though the log is read again; what came since is.
func TestDiskLostIsTold(t *testing.T) {
	w := newWorld(t, 4, 3, 3)
	l := w.elect(1)
	w.nodes[2].crash()
	n := w.newNode(12)
	n.self.Name, n.self.PeerAddr = w.nodes[2].self.Name, w.nodes[2].self.PeerAddr
	n.start()
	w.ticks(7)
	l.told()
	l.change(join(n.self))
	w.until("it has taken the place", func() bool {
		m := l.rep.Membership()
		return len(m.Members) == 3 && !l.rep.joint() && slices.Contains(l.rep.conf.GetVoters(), uint64(n.self.ID))
	})
	fresh, lost := n.self.ID, w.nodes[2].self.ID
	want := []string{
		fmt.Sprintf("%s (%s) at %s was added as a learner, to take the place of %s", n.self.Name, fresh, n.self.PeerAddr, lost),
		fmt.Sprintf("%s (%s) was promoted to voter", n.self.Name, fresh),
		fmt.Sprintf("%s (%s) was demoted to learner", n.self.Name, lost),
		fmt.Sprintf("%s (%s) was removed", n.self.Name, lost),
	}
	if got := l.told(); !slices.Equal(got, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	w.until("level", w.level(w.nodes[3]))
	w.ticks(2)
	down := w.nodes[3]
	down.crash()
	down.told()
	added := w.newNode(4)
	added.start()
	l.change(join(added.self))
	w.until("the next one is added", func() bool { _, ok := l.rep.membership.Member(added.self.ID); return ok })
	down.start()
	w.until("level", w.level(down))
	if got := down.told(); !slices.Equal(got, []string{event.MemberAdded{Member: w.memberAt(down, added.self.ID)}.Text()}) {
		t.Errorf("after a restart it told\n%s", strings.Join(got, "\n"))
	}
}
