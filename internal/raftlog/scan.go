package raftlog

import (
	"fmt"
	"io"
)

const scanWindow = 1 << 20 // bytes read at once during recovery

// scanner reads the records of one segment, in order.
type scanner struct {
	s      *segment
	limit  int64  // nothing behind it is looked at; <= the file's size
	off    int64  // of the next record
	seq    uint64 // of the next record; 0: any
	synced int64  // the highest mark seen

	window []byte // the file's bytes from at on
	at     int64
}

// bytes returns n bytes at off, valid until the next call; off+n <= limit.
func (c *scanner) bytes(off int64, n int) ([]byte, error) {
	if off < c.at || off+int64(n) > c.at+int64(len(c.window)) {
		size := int(min(max(int64(n), scanWindow), c.limit-off))
		if cap(c.window) < size {
			c.window = make([]byte, size)
		}
		c.window = c.window[:size]
		c.at = off
		if got, err := c.s.file.ReadAt(c.window, off); got < size {
			c.window = nil
			return nil, fmt.Errorf("read raft log segment %s at byte %d: %w", c.s.path, off, noEOF(err))
		}
	}
	return c.window[off-c.at:][:n], nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// next returns the record at off and moves behind it. It says false when there
// is no whole one: at the end, in a torn tail, or at damage. The payload is
// valid until the next call.
func (c *scanner) next() (header, []byte, bool, error) {
	left := c.limit - c.off - recordHead
	if left < 0 {
		return header{}, nil, false, nil
	}
	b, err := c.bytes(c.off, recordHead)
	if err != nil {
		return header{}, nil, false, err
	}
	h, ok := parseHeader(b, c.s.number, c.off)
	if !ok || c.seq != 0 && h.seq != c.seq || int64(h.length) > left {
		return header{}, nil, false, nil
	}
	payload, err := c.bytes(c.off+recordHead, int(h.length))
	if err != nil || checksum(payload) != h.sum {
		return header{}, nil, false, err
	}
	c.off += recordHead + int64(h.length)
	c.seq = h.seq + 1
	c.synced = max(c.synced, h.synced)
	return h, payload, true, nil
}

// witness looks behind off, where next found no whole record, for a header
// whose mark says that the bytes at off were synced. The record that it heads
// need not be whole.
func (c *scanner) witness() (at int64, found bool, err error) {
	for q := c.off + 8; q+recordHead <= c.limit; q += 8 {
		b, err := c.bytes(q, recordHead)
		if err != nil {
			return 0, false, err
		}
		if h, ok := parseHeader(b, c.s.number, q); ok && h.synced > c.off {
			return q, true, nil
		}
	}
	return 0, false, nil
}
