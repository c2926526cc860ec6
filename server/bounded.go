package server

import (
	"fmt"
	"io"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
)

// jsonPerByte is how much longer a message may be in JSON than in protobuf: bytes
// in base64, each letter of which may be escaped (\u0041), and names.
const jsonPerByte = 8

// bounded reads no message that is longer than limit bytes, in a request that may
// hold any number of them. gRPC would refuse it, but only after all of it is in
// memory, several times over.
type bounded struct {
	runtime.Marshaler
	limit int64
}

// NewDecoder implements runtime.Marshaler.
func (b bounded) NewDecoder(r io.Reader) runtime.Decoder {
	in := &boundedReader{from: r}
	next := b.Marshaler.NewDecoder(in)
	socket, _ := r.(*incoming)
	return runtime.DecoderFunc(func(v any) error {
		in.left, in.limit = b.limit, b.limit
		err := next.Decode(v)
		if socket != nil && socket.refuse != nil && err != nil && err != io.EOF {
			socket.refuse(err) // the gateway itself would stop reading, and say nothing
		}
		return err
	})
}

type boundedReader struct {
	from        io.Reader
	left, limit int64 // bytes
}

// Read implements io.Reader.
func (r *boundedReader) Read(b []byte) (int, error) {
	if r.left <= 0 {
		return 0, fmt.Errorf("the request is longer than %d bytes: see --max-request-bytes", r.limit)
	}
	n, err := r.from.Read(b[:min(int64(len(b)), r.left)])
	r.left -= int64(n)
	return n, err
}
