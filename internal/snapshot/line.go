package snapshot

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/musterhq/muster/internal/wire"
)

// defaultIdle is how long a peer may be silent. It says "wait" while it works.
const defaultIdle = 30 * time.Second

// maxMessage bounds the raft message that comes with an image. Bytes.
const maxMessage = 4 << 20

// packet is the JSON in a KindSnapshot frame: exactly one field is set.
type packet struct {
	Offer   *manifest `json:"offer,omitempty"`   // sender; followed by one chunk: the message
	Have    *have     `json:"have,omitempty"`    // receiver
	Done    bool      `json:"done,omitempty"`    // receiver: verified and durable
	Refused *Refusal  `json:"refused,omitempty"` // receiver
	Failed  string    `json:"failed,omitempty"`  // sender: it gives up, and why
	Wait    bool      `json:"wait,omitempty"`    // receiver: still working
}

// have says where the sender goes on: every file before File is there, and of
// that one the first Offset bytes.
type have struct {
	File   int   `json:"file"`
	Offset int64 `json:"offset"`
}

// line is a connection spoken in frames, with a deadline on every step. One
// goroutine reads; several may write.
type line struct {
	conn net.Conn
	idle time.Duration
	in   []byte // reused for the chunks that are read; of receivers

	mu sync.Mutex // held while one frame is written, so that frames stay whole
}

func newLine(conn net.Conn, idle time.Duration) *line {
	if idle <= 0 {
		idle = defaultIdle
	}
	return &line{conn: conn, idle: idle}
}

func (l *line) say(p packet) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.conn.SetWriteDeadline(time.Now().Add(l.idle)); err != nil {
		return err
	}
	return wire.WriteJSON(l.conn, wire.KindSnapshot, p)
}

// chunk sends frame, whose payload begins at wire.FrameHeaderLen.
func (l *line) chunk(frame []byte) error {
	wire.SealFrame(frame, wire.KindChunk)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.conn.SetWriteDeadline(time.Now().Add(l.idle)); err != nil {
		return err
	}
	_, err := l.conn.Write(frame)
	return err
}

// await makes reads fail after the idle time from now on.
func (l *line) await() error { return l.conn.SetReadDeadline(time.Now().Add(l.idle)) }

// hear reads one packet.
func (l *line) hear() (packet, error) {
	var p packet
	err := wire.ReadJSON(l.conn, wire.KindSnapshot, &p)
	return p, err
}

// hearChunk reads bytes, valid until the next call; a sender that gives up is
// the error instead.
func (l *line) hearChunk(limit int) ([]byte, error) {
	if err := l.await(); err != nil {
		return nil, err
	}
	if limit <= blockSize && limit >= len(l.in) {
		l.in = make([]byte, limit+1) // with the frame's kind
	}
	kind, b, err := wire.ReadFrame(l.conn, l.in, max(limit, 64<<10))
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	switch {
	case kind == wire.KindSnapshot:
		var p packet
		if json.Unmarshal(b, &p) == nil && p.Failed != "" {
			return nil, fmt.Errorf("the sender gave up: %s", p.Failed)
		}
		return nil, fmt.Errorf("%w: unexpected packet", wire.ErrCorruptFrame)
	case kind != wire.KindChunk:
		return nil, fmt.Errorf("%w: kind %d, want %d", wire.ErrCorruptFrame, kind, wire.KindChunk)
	case len(b) > limit:
		return nil, fmt.Errorf("%w: %d bytes, at most %d are due", wire.ErrCorruptFrame, len(b), limit)
	}
	return b, nil
}

// during runs f, which may take long, and keeps telling the peer to wait.
func (l *line) during(f func() error) error {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(l.idle / 3)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if l.say(packet{Wait: true}) != nil {
					return // whoever reads or writes next sees it
				}
			case <-stop:
				return
			}
		}
	}()
	defer func() {
		close(stop)
		<-stopped
	}()
	return f()
}

// refuse tells the sender why and lets the answer arrive: closing at once,
// with bytes unread, would make TCP reset the connection.
func (l *line) refuse(r *Refusal) {
	if l.say(packet{Refused: r}) != nil {
		return
	}
	_ = l.conn.SetReadDeadline(time.Now().Add(min(time.Second, l.idle)))
	_, _ = io.Copy(io.Discard, l.conn)
}
