package replica

import (
	"fmt"
	"slices"
	"time"

	"go.etcd.io/raft/v3/tracker"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/roster"
)

// lag is how a member has kept up in this leader's term; for people alone.
type lag struct {
	rounds  int        // catch-up rounds done
	falls   int        // times that it fell silent after it had been heard
	fell    uint64     // tick of the last of these
	samples [8]measure // the last ones, one in sampleTicks; ring
	n       int        // taken so far
}

type measure struct {
	tick, match, last uint64
}

// sampleTicks is how often a member's pace is measured, in heartbeats.
const sampleTicks = 5

// measure notes how far the member is.
func (l *lag) measure(m measure) {
	if l.n > 0 && m.tick-l.samples[(l.n-1)%len(l.samples)].tick < sampleTicks {
		return
	}
	l.samples[l.n%len(l.samples)] = m
	l.n++
}

// pace is how many entries a tick the member takes in, and how many the log
// grows by, over the last samples; false when too little is known.
func (l *lag) pace(now measure) (takes, grows float64, ok bool) {
	if l.n == 0 {
		return 0, 0, false
	}
	old := l.samples[max(0, l.n-len(l.samples))%len(l.samples)]
	if now.tick-old.tick < sampleTicks || now.match < old.match {
		return 0, 0, false
	}
	ticks := float64(now.tick - old.tick)
	return float64(now.match-old.match) / ticks, float64(now.last-old.last) / ticks, true
}

// lagOf is the record of a member; made when there is none.
func (p *peers) lagOf(id cluster.NodeID) *lag {
	l := p.lags[id]
	if l == nil {
		l = &lag{}
		p.lags[id] = l
	}
	return l
}

// detailed adds to the roster's reasons what only the leader's records know.
func (r *Replica) detailed(why roster.Why) []event.Reason {
	out := slices.Clone(why)
	var progress map[cluster.NodeID]tracker.Progress // read once, if it is needed
	for i := range out {
		l := r.peers.lags[out[i].Peer]
		if l == nil {
			continue
		}
		switch out[i].Code {
		case "catching_up":
			if progress == nil {
				progress = r.progress()
			}
			out[i].Text += r.progressText(progress[out[i].Peer].Match, l)
		case "not_stable", "not_active":
			if l.falls > 0 {
				out[i].Text += fmt.Sprintf("; it has fallen silent %s in this term, last %s ago", times(l.falls), event.Span(r.millis(r.tick-l.fell)))
			}
		}
	}
	return out
}

// progressText says how far a member that catches up is.
func (r *Replica) progressText(match uint64, l *lag) string {
	now := measure{r.tick, match, r.last}
	left := now.last - min(now.match, now.last)
	text := fmt.Sprintf("; %s done", event.Count(l.rounds, "catch-up round"))
	if size := r.entryBytes(); size > 0 && left > 0 {
		text += fmt.Sprintf(", about %s left", event.Bytes(int64(left)*size))
	}
	takes, grows, ok := l.pace(now)
	perSecond := float64(time.Second) / float64(r.cfg.Tick)
	switch {
	case !ok || left == 0:
	case takes <= grows:
		text += fmt.Sprintf("; it takes in %.0f entries a second while %.0f are written: it doesn't catch up at this rate", takes*perSecond, grows*perSecond)
	default:
		text += fmt.Sprintf("; at %.0f entries a second it is there in about %s", takes*perSecond, event.Span(r.millis(1+uint64(float64(left)/(takes-grows)))))
	}
	return text
}

// entryBytes is about how large an entry of the log is; 0: not known.
func (r *Replica) entryBytes() int64 {
	log, ok := r.storage.log.(interface{ Size() int64 })
	entries := r.storage.log.LastIndex() + 1 - r.storage.log.FirstIndex()
	if !ok || entries == 0 {
		return 0
	}
	return max(1, log.Size()/int64(entries))
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
