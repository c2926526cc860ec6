package sim

import (
	"context"
	"errors"
	"net"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/snapshot"
	"github.com/musterhq/muster/internal/wire"
)

// streamAttempts is how often a cut stream is taken up again before the member
// is told.
const streamAttempts = 3

// Stream implements member.Network.
func (p *process) Stream(to cluster.NodeID, img *snapshot.Image, m *raftpb.Message, done func(error)) {
	message, err := proto.Marshal(m)
	if err != nil {
		p.node.w.fail("%s: encode a snapshot message: %v", p, err)
		return
	}
	s := &stream{from: p, to: to, img: img, message: message, done: done}
	s.attempt(0)
}

// stream is an image on its way.
type stream struct {
	from    *process
	to      cluster.NodeID
	img     *snapshot.Image
	message []byte
	done    func(error)
	tries   int
}

// attempt takes its time, and then does all of it at one moment.
func (s *stream) attempt(pause instant) {
	w := s.from.node.w
	s.from.input("stream", pause+5*millisecond+w.jitter(400*millisecond), func() {
		err := s.once()
		s.tries++
		w.whisper("%s streams its image at %d to %s: %v", s.from.node.host, s.img.Index, s.to, err)
		switch {
		case err == nil || s.tries == streamAttempts:
			s.done(err)
		default:
			s.attempt(instant(s.tries) * 100 * millisecond)
		}
	})
}

func (s *stream) once() error {
	p := s.from
	x := &p.node.w.net
	addr, ok := p.peers[s.to]
	if !ok {
		return errUnreachable
	}
	far, _, err := x.greet(p, addr, s.to, wire.ForSnapshot)
	if err != nil {
		return err
	}
	near, distant := net.Pipe()
	budget := int64(1) << 40
	if x.chance(x.streams) {
		budget = x.rng.Int64N(2 * (s.img.Size() + 1500))
		x.w.sometimes(streamCut)
	}
	mine := p.view.Hello()
	mine.Purpose, mine.To = wire.ForSnapshot, s.to
	sent := make(chan error, 1)
	go func() {
		defer near.Close()
		sent <- snapshot.Send(context.Background(), &cutConn{Conn: near, left: budget}, s.img, snapshot.SendOptions{Message: s.message})
	}()
	img, message, err := far.store.Receive(context.Background(), distant, snapshot.ReceiveOptions{})
	distant.Close()
	err2 := <-sent
	if err != nil {
		switch {
		case errors.Is(err, snapshot.ErrStorage) && far.doomed == nil:
			far.Fail(err)
		case errors.Is(err, snapshot.ErrStale):
			p.node.w.sometimes(imageOvertaken)
			far.input("overtaken", x.transit(), func() { far.m.Overtaken(mine, message) })
		}
		far.settle()
		return err
	}
	p.node.w.reached(onImage, far)
	release := far.store.Acquire(img)
	far.input("offer", x.transit(), func() { far.m.Offer(mine, img, release, message) })
	far.settle()
	if x.chance(x.streams) {
		x.w.sometimes(streamUnreported)
		return errTimeout
	}
	return err2
}

// cutConn breaks after so many bytes were written.
type cutConn struct {
	net.Conn
	left int64
}

func (c *cutConn) Write(b []byte) (int, error) {
	if int64(len(b)) <= c.left {
		c.left -= int64(len(b))
		return c.Conn.Write(b)
	}
	n, _ := c.Conn.Write(b[:c.left]) // what gets through does
	c.left = 0
	c.Conn.Close()
	return n, net.ErrClosed
}
