package host

import (
	"errors"
	"fmt"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/member"
	"github.com/musterhq/muster/internal/snapshot"
)

// progress is how far an image is on its way.
type progress struct {
	index     uint64
	at, total int64 // bytes

	marks [2]mark // how far it was: at the older one, and at the newer one
}

type mark struct {
	when time.Time
	at   int64
}

// markEvery is between two marks: the pace is that of the last one or two.
const markEvery = 3 * time.Second

// moved is p after was, of the same image.
func (p progress) moved(was progress, now time.Time) progress {
	p.marks = was.marks
	switch {
	case was.index != p.index || was.marks[1].when.IsZero() || p.at < was.at:
		p.marks = [2]mark{{now, p.at}, {now, p.at}}
	case now.Sub(was.marks[1].when) >= markEvery:
		p.marks = [2]mark{was.marks[1], {now, p.at}}
	}
	return p
}

// pace is bytes a second; 0: not known yet.
func (p progress) pace(now time.Time) float64 {
	d := now.Sub(p.marks[0].when)
	if p.marks[0].when.IsZero() || d < 200*time.Millisecond {
		return 0
	}
	return float64(p.at-p.marks[0].at) / d.Seconds()
}

// text says how far it is, how fast it goes, and when it is there. limit is
// what the sender is allowed, in bytes a second; 0: as fast as it goes.
func (p progress) text(now time.Time, limit int64) string {
	text := fmt.Sprintf("%s of %s", event.Bytes(p.at), event.Bytes(p.total))
	pace := p.pace(now)
	switch {
	case limit > 0 && pace > 0:
		text += fmt.Sprintf(", %s a second of the %s that are allowed", event.Bytes(int64(pace)), event.Bytes(limit))
	case limit > 0:
		text += fmt.Sprintf(", at most %s a second", event.Bytes(limit))
	case pace > 0:
		text += fmt.Sprintf(", %s a second", event.Bytes(int64(pace)))
	}
	if pace > 0 && p.at < p.total {
		text += fmt.Sprintf(", about %s left", event.Span(int64(float64(p.total-p.at)/pace*1000)))
	}
	return text
}

// failure is why an image did not arrive.
type failure struct {
	index uint64
	err   error
	when  time.Time
	from  cluster.NodeID // of one that was to come in
}

// failuresLast is for how long a failure is told of: the leader tries again, at
// once or soon.
const failuresLast = time.Minute

// whyStreams tells of the images on their way, and of those that failed.
func (h *Host) whyStreams(v *member.View) []event.Reason {
	var out []event.Reason
	now := time.Now()
	s := &h.streams
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, to := range sortedKeys(s.sending) {
		p := s.sending[to]
		r := event.Reason{Code: "snapshot_sending", Peer: to,
			Text:   fmt.Sprintf("sends %s the snapshot at index %d: %s", v.Name(to), p.index, p.text(now, h.cfg.SnapshotRate)),
			WayOut: "nothing to do: it goes on from the log when it has all of it"}
		if h.cfg.SnapshotRate > 0 {
			r.WayOut = "wait; a higher --snapshot-send-rate on this node makes it faster, from its next start on"
		}
		out = append(out, r)
	}
	if p := s.receiving; p != nil {
		out = append(out, event.Reason{Code: "snapshot_receiving", Peer: s.from,
			Text:   fmt.Sprintf("receives the snapshot at index %d from %s: %s", p.index, v.Name(s.from), p.text(now, 0)),
			WayOut: "nothing to do: the member catches up when it is complete"})
	}
	for _, to := range sortedKeys(s.failed) {
		if f := s.failed[to]; now.Sub(f.when) < failuresLast {
			out = append(out, whySendFailed(v.Name(to), to, f, now))
		}
	}
	if f := s.refused; f != nil && now.Sub(f.when) < failuresLast {
		out = append(out, whyNotReceived(v.Name(f.from), *f, now))
	}
	return out
}

func whySendFailed(name string, to cluster.NodeID, f failure, now time.Time) event.Reason {
	return event.Reason{Code: "snapshot_not_sent", Peer: to,
		Text:   fmt.Sprintf("the snapshot at index %d did not get to %s, %s ago: %v", f.index, name, event.Span(now.Sub(f.when).Milliseconds()), f.err),
		WayOut: fmt.Sprintf("mend the cause; it is sent again by itself, and `muster why` at %s tells what it meets", name)}
}

func whyNotReceived(name string, f failure, now time.Time) event.Reason {
	r := event.Reason{Code: "snapshot_not_received", Peer: f.from,
		Text:   fmt.Sprintf("a snapshot from %s did not come in, %s ago: %v", name, event.Span(now.Sub(f.when).Milliseconds()), f.err),
		WayOut: "nothing to do: it is sent again, and goes on where it stopped"}
	if errors.Is(f.err, snapshot.ErrNoSpace) {
		r.Code = "disk_full"
		r.WayOut = "free some space on the disk of the data directory; the snapshot is sent again by itself, and what this member holds is kept"
	}
	return r
}
