package transport

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// memWindow is how many bytes a connection holds for a reader that is slow,
// and how many it swallows while the other host can't be reached. Bytes.
const memWindow = 256 << 10

// link is one connection: two flows. Guarded by the network's lock.
type link struct {
	m           *Memory
	from, to    string // hosts
	there, back flow   // from → to, to → from
}

// flow is the bytes of one direction.
type flow struct {
	buf     []byte // written, not yet read
	lost    int    // bytes, and ends of stream, that vanished
	ended   bool   // the writer closed its end: EOF behind buf
	refused bool   // the reader closed its end, and the writer's host knows
	reset   bool
	changed chan struct{} // closed, and replaced, at each change
}

func (f *flow) changedLocked() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (m *Memory) linkLocked(from, to string, near, far memAddr) (*memConn, *memConn) {
	l := &link{m: m, from: from, to: to}
	l.there.changed, l.back.changed = make(chan struct{}), make(chan struct{})
	m.links[l] = struct{}{}
	a := &memConn{link: l, local: near, remote: far, in: &l.back, out: &l.there, host: from, peer: to}
	b := &memConn{link: l, local: far, remote: near, in: &l.there, out: &l.back, host: to, peer: from}
	for _, c := range []*memConn{a, b} {
		c.closed = make(chan struct{})
		c.rd, c.wd = newDeadline(), newDeadline()
	}
	return a, b
}

func (l *link) lossy() bool { return l.there.lost > 0 || l.back.lost > 0 }

func (l *link) resetLocked() {
	for _, f := range []*flow{&l.there, &l.back} {
		f.reset, f.buf = true, nil
		f.changedLocked()
	}
	delete(l.m.links, l)
}

// memConn is one end of a link.
type memConn struct {
	link          *link
	local, remote memAddr
	host, peer    string
	in, out       *flow
	rd, wd        *deadline
	once          sync.Once
	closed        chan struct{} // closed under the network's lock
}

func (c *memConn) LocalAddr() net.Addr  { return c.local }
func (c *memConn) RemoteAddr() net.Addr { return c.remote }

func (c *memConn) SetDeadline(t time.Time) error {
	c.rd.set(t)
	c.wd.set(t)
	return nil
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.rd.set(t)
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.wd.set(t)
	return nil
}

func (c *memConn) opError(op string, err error) error {
	if err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "memory", Source: c.local, Addr: c.remote, Err: err}
}

// do repeats step until it is done, waiting for the flow to change, the
// deadline or Close. step is called with the network's lock held.
func (c *memConn) do(f *flow, d *deadline, step func() (done bool, err error)) error {
	for {
		expired := d.wait()
		c.link.m.mu.Lock()
		select {
		case <-c.closed:
			c.link.m.mu.Unlock()
			return net.ErrClosed
		case <-expired:
			c.link.m.mu.Unlock()
			return os.ErrDeadlineExceeded
		default:
		}
		done, err := step()
		changed := f.changed
		c.link.m.mu.Unlock()
		if done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-c.closed:
		case <-expired:
		}
	}
}

func (c *memConn) Read(p []byte) (n int, err error) {
	err = c.do(c.in, c.rd, func() (bool, error) {
		f := c.in
		switch {
		case f.reset:
			return false, syscall.ECONNRESET
		case len(p) == 0:
			return true, nil
		case len(f.buf) > 0:
			n = copy(p, f.buf)
			f.buf = f.buf[n:]
			f.changedLocked()
			return true, nil
		case f.ended:
			return false, io.EOF
		}
		return false, nil
	})
	if err != nil {
		err = c.opError("read", err)
	}
	return n, err
}

func (c *memConn) Write(p []byte) (n int, err error) {
	err = c.do(c.out, c.wd, func() (bool, error) {
		f := c.out
		switch {
		case f.reset:
			return false, syscall.ECONNRESET
		case f.refused:
			return false, syscall.EPIPE
		}
		if !c.link.m.reachesLocked(c.host, c.peer) || f.lost > 0 {
			k := min(len(p)-n, memWindow-f.lost)
			f.lost += max(k, 0)
			n += max(k, 0)
		} else if k := min(len(p)-n, memWindow-len(f.buf)); k > 0 {
			f.buf = append(f.buf, p[n:n+k]...)
			n += k
			f.changedLocked()
		}
		return n == len(p), nil
	})
	if err != nil {
		err = c.opError("write", err)
	}
	return n, err
}

// Close tells the other end, if it can be reached.
func (c *memConn) Close() error {
	c.once.Do(func() {
		m := c.link.m
		m.mu.Lock()
		defer m.mu.Unlock()
		close(c.closed)
		c.rd.set(time.Time{})
		c.wd.set(time.Time{})
		if c.in.reset {
			return
		}
		if m.reachesLocked(c.host, c.peer) && c.out.lost == 0 {
			c.out.ended, c.in.refused = true, true
		} else {
			c.out.lost++
		}
		c.out.changedLocked()
		c.in.changedLocked()
		if c.out.ended && c.in.ended {
			delete(m.links, c.link)
		}
	})
	return nil
}

// deadline turns a point in time into a channel to wait on.
type deadline struct {
	mu      sync.Mutex
	timer   *time.Timer
	round   int // counts calls of set
	expired chan struct{}
	fired   bool // expired is closed
}

func newDeadline() *deadline { return &deadline{expired: make(chan struct{})} }

func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.expired
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.round++
	if d.fired {
		d.expired, d.fired = make(chan struct{}), false
	}
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		d.fired = true
		close(d.expired)
		return
	}
	round := d.round
	d.timer = time.AfterFunc(left, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.round == round {
			d.fired = true
			close(d.expired)
		}
	})
}
