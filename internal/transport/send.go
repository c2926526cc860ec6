package transport

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// send is the sender's loop on one connection. It returns nil when the watcher
// ended it. Its writes have no deadline: a frame takes as long as the link needs,
// and the watcher closes the connection when none of it arrives any more.
func (p *peer) send(c *conn, addr string, broken chan error) error {
	out := framer{write: func(frame []byte) error {
		_, err := c.Write(frame)
		return err
	}}
	beat := time.NewTicker(p.t.cfg.KeepAlive)
	defer beat.Stop()
	idle := true // nothing was written since the last tick
	for {
		// What is taken from the queue now is lost if the connection is: look first.
		select {
		case err := <-broken:
			broken <- err
			return nil
		default:
		}
		sent, err := p.drain(&out)
		if err != nil {
			return fmt.Errorf("send: %w", err)
		}
		if sent {
			idle = false
			continue
		}
		select {
		case <-p.wake:
		case err := <-broken:
			broken <- err
			return nil
		case <-p.kick:
			if p.address() != addr {
				return errMoved
			}
		case <-beat.C:
			if idle {
				if err := out.beat(); err != nil {
					return fmt.Errorf("send a keep-alive: %w", err)
				}
			}
			idle = true
		}
	}
}

// drain sends everything that waits, in as few frames as fit.
func (p *peer) drain(out *framer) (sent bool, err error) {
	p.mu.Lock()
	items := p.queue.take()
	p.mu.Unlock()
	if len(items) == 0 {
		return false, nil
	}
	defer func() {
		p.mu.Lock()
		if err != nil {
			p.queue.dropped += uint64(len(items))
		}
		p.queue.giveBack(items)
		p.mu.Unlock()
	}()
	for i := range items {
		err := out.add(items[i].batch)
		if isTooLarge(err) {
			p.t.cfg.Logger.Error("a message was dropped", "peer", p.id.String(), "err", err)
			p.t.notices.tell(p.id)
			continue
		}
		if err != nil {
			return true, err
		}
	}
	return true, out.flush()
}

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
