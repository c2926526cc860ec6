package replica
import "testing"
func TestDbg(t *testing.T){
	w := newWorld(t, 11, 3, 3)
	w.elect(1)
	n := w.nodes[3]
	n.crash()
	n.self.PeerAddr = "elsewhere:2380"
	n.start()
	w.ticks(20)
	for _, x := range w.nodes { t.Log(x.self.ID, x.seen.answers, x.rep.membership.Outcomes) }
}
