package kv

import (
	"encoding/binary"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// put is a decoded PutRequest. Its slices may alias the command.
type put struct {
	key, value  []byte
	lease       int64
	prevKV      bool
	ignoreValue bool
	ignoreLease bool
}

func putOf(r *pb.PutRequest) put {
	return put{
		key:         r.GetKey(),
		value:       r.GetValue(),
		lease:       r.GetLease(),
		prevKV:      r.GetPrevKv(),
		ignoreValue: r.GetIgnoreValue(),
		ignoreLease: r.GetIgnoreLease(),
	}
}

// decodePut decodes a PutRequest without copying it, and falls back on
// protobuf's own decoder for anything unusual.
func decodePut(body []byte) (put, bool) {
	if p, ok := decodePlainPut(body); ok {
		return p, true
	}
	var r pb.PutRequest
	if proto.Unmarshal(body, &r) != nil {
		return put{}, false
	}
	return putOf(&r), true
}

// decodePlainPut knows the fields of a PutRequest and nothing else: tag bytes
// are field<<3 | wire type (0: varint, 2: bytes). When it says ok, the result
// is what proto.Unmarshal gives; FuzzDecodePut holds it to that.
func decodePlainPut(b []byte) (p put, ok bool) {
	for len(b) > 0 {
		tag := b[0]
		v, n := binary.Uvarint(b[1:])
		if n <= 0 {
			return put{}, false
		}
		b = b[1+n:]
		switch tag {
		case 1<<3 | 2, 2<<3 | 2:
			if v > uint64(len(b)) {
				return put{}, false
			}
			if tag == 1<<3|2 {
				p.key = b[:v:v]
			} else {
				p.value = b[:v:v]
			}
			b = b[v:]
		case 3 << 3:
			p.lease = int64(v)
		case 4 << 3:
			p.prevKV = v != 0
		case 5 << 3:
			p.ignoreValue = v != 0
		case 6 << 3:
			p.ignoreLease = v != 0
		default:
			return put{}, false
		}
	}
	return p, true
}
