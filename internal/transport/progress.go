package transport

import (
	"fmt"
	"time"

	"github.com/musterhq/muster/cluster"
)

// progress reads from an accepted messages connection. What breaks one is that
// no byte comes for IdleTimeout, not that a frame takes longer than that: on a
// slow link a large one does.
//
// It answers with keep-alive frames for as long as bytes come, so that the
// dialler sees that what it sends arrives; a sender that waits in a write has no
// other sign of that. The cost is by the read, of which there are at most as many
// as frames while these are small.
type progress struct {
	*conn
	peer     cluster.NodeID
	out      framer
	answered time.Time // when a keep-alive frame was sent last
	err      error     // of the read that ended it; a reader may ask again
}

func (p *progress) Read(b []byte) (n int, err error) {
	if p.err == nil {
		n, p.err = p.read(b)
	}
	return n, p.err
}

func (p *progress) read(b []byte) (int, error) {
	t := p.t
	if err := p.SetReadDeadline(time.Now().Add(t.cfg.IdleTimeout)); err != nil {
		return 0, err
	}
	n, err := p.conn.Read(b)
	if now := time.Now(); n > 0 && now.Sub(p.answered) >= t.cfg.KeepAlive/2 {
		p.answered = now
		t.hears(p.peer, now)
		if err := p.out.beat(); err != nil {
			return n, fmt.Errorf("answer a keep-alive: %w", err)
		}
	}
	return n, err
}
