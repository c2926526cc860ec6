package differential

import (
	"bytes"
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// A client in Go can't send a text that is not UTF-8, and another can. In a
// program the rune notUTF8 stands for bytes that are none.
const notUTF8 = "\ue000"

var invalid = []byte("\xff\xfe\xfd") // as long as notUTF8, lest lengths change

// wireCodec is gRPC's codec for protobufs, but for what it does to requests.
type wireCodec struct {
	encoding.CodecV2
	damage string // one of damages; "" none
}

// damages are what may be done to an encoded request.
var damages = []string{"", "unknown", "twice", "cut", "garbage", "empty"}

func newWireCodec(damage string) wireCodec {
	return wireCodec{CodecV2: encoding.GetCodecV2("proto"), damage: damage}
}

// Marshal implements encoding.CodecV2.
func (c wireCodec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no message", v)
	}
	b, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	b = bytes.ReplaceAll(b, []byte(notUTF8), invalid)
	switch c.damage {
	case "unknown": // a field that no version has
		b = append(b, 0xc2, 0x3e, 1, 'x') // number 1000, of one byte
	case "twice": // the fields of the second stand, lists are joined
		b = append(b, b...)
	case "cut":
		b = b[:len(b)-len(b)/3]
	case "garbage":
		b = []byte{0xff, 0xff, 0xff}
	case "empty":
		b = nil
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}
