package transport

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/musterhq/muster/internal/wire"
)

// FuzzFrameReader reads a messages connection with a buffer that is used again:
// frames come out as they were written, up to the first that is none, and no
// length is believed.
func FuzzFrameReader(f *testing.F) {
	two := wire.AppendFrame(wire.AppendFrame(nil, wire.KindMessages, []byte("abc")), wire.KindMessages, nil)
	f.Add(two)
	f.Add(wire.AppendFrame(two, wire.KindHello, []byte("{}")))
	f.Add([]byte{0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 5})
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 10
		in := frameReader{r: bufio.NewReaderSize(bytes.NewReader(b), 64)}
		var read []byte
		for {
			payload, err := in.next(limit)
			if err != nil {
				if err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, wire.ErrCorruptFrame) {
					t.Fatalf("unsorted error: %v", err)
				}
				break
			}
			if len(payload) > limit || cap(in.buf) > 4<<10 {
				t.Fatalf("a payload of %d bytes, a buffer of %d", len(payload), cap(in.buf))
			}
			read = wire.AppendFrame(read, wire.KindMessages, payload)
		}
		if !bytes.HasPrefix(b, read) {
			t.Fatalf("%x was read as what is written %x", b, read)
		}
	})
}
