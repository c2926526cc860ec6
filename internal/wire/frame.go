package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Kind tells what a frame holds.
type Kind byte

const (
	KindHello    Kind = 1 // JSON Hello, dialler to acceptor
	KindOpening  Kind = 2 // JSON opening, acceptor to dialler
	KindRequest  Kind = 3 // JSON Request
	KindResponse Kind = 4 // JSON Response
	KindMessages Kind = 5 // Batch, see AppendBatch
	KindSnapshot Kind = 6 // package snapshot's own
	KindChunk    Kind = 7 // package snapshot's own: raw bytes
	KindQuestion Kind = 8 // see Question
	KindAnswer   Kind = 9 // see Answer
	KindGivenUp  Kind = 10
)

// frameHeader is the size of a frame's head:
//
//	length uint32 LE | crc32c uint32 LE | kind byte | payload
//
// length counts kind and payload; the checksum covers them.
const frameHeader = 9

// Limits of one frame's payload, in bytes.
const (
	MaxControl = 8 << 20  // JSON frames
	MaxFrame   = 64 << 20 // any frame
)

// ErrCorruptFrame says that a peer speaks something else, or that bytes were
// damaged on the way.
var ErrCorruptFrame = errors.New("not a muster peer, or a damaged frame")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendFrame appends a whole frame to dst.
func AppendFrame(dst []byte, kind Kind, payload []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, frameHeader)...)
	dst = append(dst, payload...)
	SealFrame(dst[at:], kind)
	return dst
}

// FrameHeaderLen is how many bytes a caller leaves free before the payload
// for [SealFrame].
const FrameHeaderLen = frameHeader

// SealFrame fills in the head of frame, whose payload begins at FrameHeaderLen.
func SealFrame(frame []byte, kind Kind) {
	frame[8] = byte(kind)
	binary.LittleEndian.PutUint32(frame, uint32(len(frame)-8))
	binary.LittleEndian.PutUint32(frame[4:], crc32.Checksum(frame[8:], castagnoli))
}

// ReadFrame reads one frame of at most limit payload bytes. The payload is
// buf's memory when that is large enough, and valid until the next use of buf.
// A clean end of the stream before the first byte is io.EOF.
func ReadFrame(r io.Reader, buf []byte, limit int) (Kind, []byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n < 1 || uint64(n) > uint64(limit)+1 {
		return 0, nil, fmt.Errorf("%w: length %d", ErrCorruptFrame, n)
	}
	if uint32(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	if crc32.Checksum(buf, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return 0, nil, fmt.Errorf("%w: checksum", ErrCorruptFrame)
	}
	return Kind(buf[0]), buf[1:], nil
}

// WriteJSON writes v as one frame.
func WriteJSON(w io.Writer, kind Kind, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode frame %d: %w", kind, err)
	}
	if len(b) > MaxControl {
		return fmt.Errorf("encode frame %d: %d bytes, more than %d", kind, len(b), MaxControl)
	}
	_, err = w.Write(AppendFrame(nil, kind, b))
	return err
}

// ReadJSON reads one frame of the given kind into v.
func ReadJSON(r io.Reader, kind Kind, v any) error {
	k, b, err := ReadFrame(r, nil, MaxControl)
	if err != nil {
		return err
	}
	if k != kind {
		return fmt.Errorf("%w: kind %d, want %d", ErrCorruptFrame, k, kind)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", ErrCorruptFrame, err)
	}
	return nil
}

// WriteOpening answers a Hello: with a Hello, or with a Refusal when that is not nil.
func WriteOpening(w io.Writer, h Hello, refusal *Refusal) error {
	if refusal != nil {
		return WriteJSON(w, KindOpening, opening{Refusal: refusal})
	}
	return WriteJSON(w, KindOpening, opening{Hello: &h})
}

// ReadOpening reads the acceptor's answer; a refusal comes back as a *[Refusal].
func ReadOpening(r io.Reader) (Hello, error) {
	var o opening
	if err := ReadJSON(r, KindOpening, &o); err != nil {
		return Hello{}, err
	}
	switch {
	case o.Refusal != nil:
		return Hello{}, o.Refusal
	case o.Hello != nil:
		return *o.Hello, nil
	}
	return Hello{}, fmt.Errorf("%w: empty opening", ErrCorruptFrame)
}
