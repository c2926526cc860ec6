package transport

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/internal/wire"
)

const (
	frameTarget = 1 << 20 // bytes: a frame that has reached this is sent
	maxKeep     = 4 << 20 // bytes: larger buffers are not kept for reuse
)

// framer packs batches into frames of about frameTarget bytes.
type framer struct {
	buf   []byte
	write func(frame []byte) error
}

// add encodes the batch, writing frames as they fill up. An error that
// tooLarge wraps concerns one message only, which was left out.
func (f *framer) add(b *wire.Batch) error {
	var tooLarge error
	piece := func(one wire.Batch, size int) error {
		err := f.piece(&one, size)
		if isTooLarge(err) {
			tooLarge = err
			return nil
		}
		return err
	}
	for i, m := range b.Raft {
		size := messageSize(m)
		if size > frameTarget {
			size = proto.Size(m) + messageOverhead
		}
		if err := piece(wire.Batch{Raft: b.Raft[i : i+1]}, size); err != nil {
			return err
		}
	}
	for i := range b.Forwards {
		if err := piece(wire.Batch{Forwards: b.Forwards[i : i+1]}, forwardSize(&b.Forwards[i])); err != nil {
			return err
		}
	}
	if len(b.Rejects) > 0 {
		if err := piece(wire.Batch{Rejects: b.Rejects}, len(b.Rejects)*messageOverhead); err != nil {
			return err
		}
	}
	return tooLarge
}

func (f *framer) piece(one *wire.Batch, size int) error {
	if size > wire.MaxFrame {
		return &tooLargeError{size}
	}
	if len(f.buf)+size > wire.MaxFrame {
		if err := f.flush(); err != nil {
			return err
		}
	}
	if len(f.buf) == 0 {
		f.buf = append(f.buf, make([]byte, wire.FrameHeaderLen)...)
	}
	var err error
	if f.buf, err = wire.AppendBatch(f.buf, one); err != nil {
		return err
	}
	if len(f.buf) >= frameTarget {
		return f.flush()
	}
	return nil
}

// flush writes the frame begun, if there is one.
func (f *framer) flush() error {
	if len(f.buf) == 0 {
		return nil
	}
	return f.send()
}

// beat writes an empty frame.
func (f *framer) beat() error {
	f.buf = append(f.buf[:0], make([]byte, wire.FrameHeaderLen)...)
	return f.send()
}

func (f *framer) send() error {
	wire.SealFrame(f.buf, wire.KindMessages)
	err := f.write(f.buf)
	if cap(f.buf) > maxKeep {
		f.buf = nil
	}
	f.buf = f.buf[:0]
	return err
}

// tooLargeError says that a message doesn't fit into any frame.
type tooLargeError struct{ size int }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("message of %d bytes, more than the %d that a frame may hold", e.size, wire.MaxFrame)
}

func isTooLarge(err error) bool {
	var large *tooLargeError
	return errors.As(err, &large)
}

// frameReader reads frames with a buffer that grows to fit and is used again.
type frameReader struct {
	r   *bufio.Reader
	buf []byte
}

// next returns the payload of the next messages frame, valid until the call after.
func (f *frameReader) next(limit int) ([]byte, error) {
	if cap(f.buf) > maxKeep {
		f.buf = nil
	}
	// ReadFrame's result has lost the first byte of a buffer that it made
	// itself, so that one would never fit the next frame of the same size.
	if head, err := f.r.Peek(4); err == nil {
		if n := binary.LittleEndian.Uint32(head); int64(n) <= int64(limit)+1 && int(n) > cap(f.buf) {
			f.buf = make([]byte, max(int(n), min(2*cap(f.buf), maxKeep), 4<<10))
		}
	}
	kind, payload, err := wire.ReadFrame(f.r, f.buf, limit)
	if err != nil {
		return nil, err
	}
	if kind != wire.KindMessages {
		return nil, fmt.Errorf("%w: kind %d on a messages connection", wire.ErrCorruptFrame, kind)
	}
	return payload, nil
}
