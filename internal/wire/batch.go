package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/cluster"
)

// Forward carries a follower's waiting proposals to its leader, once.
//
// Term is the leader's term as the follower knows it. A leader takes a forward
// only in that very term, and remembers the sequence numbers seen in it: a
// duplicate can therefore never be proposed twice, because no process leads
// the same term twice.
type Forward struct {
	Term  uint64
	First RequestID // commands have consecutive numbers from here
	Cmds  [][]byte
}

// ForwardReject tells the origin that the commands from First on, Count of
// them, were certainly not proposed.
type ForwardReject struct {
	First      RequestID
	Count      uint64
	Overloaded bool // else: not the leader of that term
}

// Batch is what one messages frame holds, in the order it was made.
type Batch struct {
	Raft     []*raftpb.Message
	Forwards []Forward
	Rejects  []ForwardReject
}

// ErrCorruptBatch says that a messages frame can't be read.
var ErrCorruptBatch = errors.New("corrupt message batch")

// Item tags inside a batch: tag byte | length uvarint | bytes.
const (
	itemRaft    = 1 // protobuf raftpb.Message
	itemForward = 2 // term uint64 LE | group, as in a commands entry
	itemReject  = 3 // origin, seq, count uint64 LE | overloaded byte
)

// AppendBatch appends the encoding of b to dst.
func AppendBatch(dst []byte, b *Batch) ([]byte, error) {
	var err error
	for _, m := range b.Raft {
		dst = append(dst, itemRaft)
		dst = binary.AppendUvarint(dst, uint64(proto.Size(m)))
		if dst, err = (proto.MarshalOptions{UseCachedSize: true}).MarshalAppend(dst, m); err != nil {
			return dst, fmt.Errorf("encode raft message: %w", err)
		}
	}
	var body []byte
	for _, f := range b.Forwards {
		body = binary.LittleEndian.AppendUint64(body[:0], f.Term)
		body = AppendGroup(body, f.First, f.Cmds)
		dst = append(dst, itemForward)
		dst = binary.AppendUvarint(dst, uint64(len(body)))
		dst = append(dst, body...)
	}
	for _, r := range b.Rejects {
		dst = append(dst, itemReject)
		dst = binary.AppendUvarint(dst, 25)
		dst = binary.LittleEndian.AppendUint64(dst, uint64(r.First.Origin))
		dst = binary.LittleEndian.AppendUint64(dst, r.First.Seq)
		dst = binary.LittleEndian.AppendUint64(dst, r.Count)
		if r.Overloaded {
			dst = append(dst, 1)
		} else {
			dst = append(dst, 0)
		}
	}
	return dst, nil
}

// DecodeBatch reads what AppendBatch wrote. The batch keeps no reference to b.
func DecodeBatch(b []byte) (*Batch, error) {
	out := &Batch{}
	for len(b) > 0 {
		tag := b[0]
		size, n := binary.Uvarint(b[1:])
		if n <= 0 || size > uint64(len(b)-1-n) {
			return nil, fmt.Errorf("%w: bad item length", ErrCorruptBatch)
		}
		item := b[1+n : 1+n+int(size)]
		b = b[1+n+int(size):]
		if err := out.add(tag, item); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (out *Batch) add(tag byte, item []byte) error {
	switch tag {
	case itemRaft:
		m := &raftpb.Message{}
		if err := proto.Unmarshal(item, m); err != nil {
			return fmt.Errorf("%w: raft message: %w", ErrCorruptBatch, err)
		}
		out.Raft = append(out.Raft, m)
	case itemForward:
		if len(item) < 8 {
			return fmt.Errorf("%w: short forward", ErrCorruptBatch)
		}
		f := Forward{Term: binary.LittleEndian.Uint64(item)}
		oneGroup := true
		own := append([]byte{byte(EntryCommands)}, item[8:]...)
		if err := ReadCommands(own, func(id RequestID, cmd []byte) {
			if len(f.Cmds) == 0 {
				f.First = id
			}
			oneGroup = oneGroup && id == RequestID{f.First.Origin, f.First.Seq + uint64(len(f.Cmds))}
			f.Cmds = append(f.Cmds, cmd)
		}); err != nil {
			return fmt.Errorf("%w: forward: %w", ErrCorruptBatch, err)
		}
		if len(f.Cmds) == 0 || !oneGroup {
			return fmt.Errorf("%w: a forward is one group of commands", ErrCorruptBatch)
		}
		out.Forwards = append(out.Forwards, f)
	case itemReject:
		if len(item) != 25 {
			return fmt.Errorf("%w: reject of %d bytes", ErrCorruptBatch, len(item))
		}
		r := ForwardReject{Count: binary.LittleEndian.Uint64(item[16:]), Overloaded: item[24] == 1}
		r.First.Origin = cluster.NodeID(binary.LittleEndian.Uint64(item))
		r.First.Seq = binary.LittleEndian.Uint64(item[8:])
		if r.Count == 0 || r.Count > MaxFrame {
			return fmt.Errorf("%w: reject of %d commands", ErrCorruptBatch, r.Count)
		}
		out.Rejects = append(out.Rejects, r)
	default:
		return fmt.Errorf("%w: unknown item %d", ErrCorruptBatch, tag)
	}
	return nil
}
