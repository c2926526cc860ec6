package sim

import "github.com/musterhq/muster/internal/crashfs"

// moment is when it hurts most.
type moment string

const (
	onJoint    moment = "joint"    // a leader shows a joint configuration
	onPromise  moment = "promise"  // a node has promised or accepted
	onVote     moment = "vote"     // a vote was written and may be on its way
	onImage    moment = "image"    // an image has come in
	onAdded    moment = "added"    // a learner was added
	onPromoted moment = "promoted" // a learner was promoted
	onElected  moment = "elected"  // a member has become leader
	onAppend   moment = "append"   // entries were written
	onSwap     moment = "swap"     // a wiped voter was swapped for its successor
)

var moments = []moment{onJoint, onPromise, onVote, onImage, onAdded, onPromoted, onElected, onAppend, onSwap}

// ambush waits for a moment, and then strikes whoever is in it.
type ambush struct {
	at moment
	n  uint64
}

// lay adds an ambush. Some are laid more often for a moment that comes seldom.
func (w *World) lay(f Fault) {
	at := onSwap
	if i := f.N % uint64(len(moments)+2); i < uint64(len(moments)) {
		at = moments[i]
	}
	w.ambushes = append(w.ambushes, ambush{at, f.N / 16})
}

// reached says that a process is in a moment. What is laid for it strikes at
// once, or within a little while.
func (w *World) reached(at moment, p *process) {
	if w.attend != nil {
		w.attend(at, p)
	}
	for i, a := range w.ambushes {
		if a.at != at {
			continue
		}
		w.ambushes = append(w.ambushes[:i:i], w.ambushes[i+1:]...)
		d := instant(0)
		if a.n%2 == 0 {
			d = instant(a.n/2%1000) * millisecond / 20
		}
		w.schedule(d, "ambush", p, func() { w.strike(a, p) })
		return
	}
}

func (w *World) strike(a ambush, p *process) {
	if w.healing {
		return
	}
	w.say("ambush at %s: %s", a.at, p.node.host)
	w.sometimes(ambushed(a.at))
	switch x := a.n / 2000; x % 6 {
	case 0:
		p.node.kill()
	case 1:
		w.isolate(p.node)
	case 2:
		p.node.pause(instant(x/8%3000) * millisecond)
	case 3:
		p.node.disk.cut, p.node.disk.mode, p.node.disk.seed = 1+int(x/8%4), crashfs.Mode(x/32%uint64(crashfs.Modes)), x
	default:
		p.node.crash(crashfs.Mode(x/8%uint64(crashfs.Modes)), x)
	}
}
