package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/musterhq/muster/cluster"
)

// RequestID names one proposal for ever: the member that took it from its
// client, and a number of that member's which no later boot draws again.
type RequestID struct {
	Origin cluster.NodeID
	Seq    uint64
}

// EntryKind is the first byte of a raft entry's data. An entry without data is
// the one that raft itself appends at the start of a term.
type EntryKind byte

const (
	EntryCommands EntryKind = 1 // groups of commands, see AppendGroup
	EntryUpdate   EntryKind = 2 // JSON Change that leaves raft's configuration as it is
)

// ErrCorruptEntry says that a raft entry's data can't be read.
var ErrCorruptEntry = errors.New("corrupt entry")

// A commands entry is EntryCommands followed by groups:
//
//	origin uint64 LE | first seq uint64 LE | count uvarint | count × (length uvarint | bytes)
//
// The commands of a group have consecutive request numbers.

// CommandOverhead bounds what one command adds to its own length, even as a
// group of its own, in bytes.
const CommandOverhead = 16 + 2*binary.MaxVarintLen32

// AppendGroupHead appends the head of a group of count commands, at least one,
// to data, which begins with EntryCommands. AppendCommand adds each of them.
func AppendGroupHead(data []byte, first RequestID, count int) []byte {
	data = binary.LittleEndian.AppendUint64(data, uint64(first.Origin))
	data = binary.LittleEndian.AppendUint64(data, first.Seq)
	return binary.AppendUvarint(data, uint64(count))
}

// AppendCommand appends one command of the group begun by AppendGroupHead.
func AppendCommand(data, cmd []byte) []byte {
	data = binary.AppendUvarint(data, uint64(len(cmd)))
	return append(data, cmd...)
}

// AppendGroup appends a whole group.
func AppendGroup(data []byte, first RequestID, cmds [][]byte) []byte {
	data = AppendGroupHead(data, first, len(cmds))
	for _, c := range cmds {
		data = AppendCommand(data, c)
	}
	return data
}

// ReadCommands calls f for each command of a commands entry, in order. The
// command is data's memory.
func ReadCommands(data []byte, f func(id RequestID, cmd []byte)) error {
	if len(data) == 0 || EntryKind(data[0]) != EntryCommands {
		return fmt.Errorf("%w: not a commands entry", ErrCorruptEntry)
	}
	data = data[1:]
	for len(data) > 0 {
		if len(data) < 17 {
			return fmt.Errorf("%w: short group", ErrCorruptEntry)
		}
		id := RequestID{cluster.NodeID(binary.LittleEndian.Uint64(data)), binary.LittleEndian.Uint64(data[8:])}
		data = data[16:]
		count, n := binary.Uvarint(data)
		if n <= 0 || count == 0 || count > uint64(len(data)) {
			return fmt.Errorf("%w: bad group count", ErrCorruptEntry)
		}
		data = data[n:]
		for range count {
			size, n := binary.Uvarint(data)
			if n <= 0 || size > uint64(len(data)-n) {
				return fmt.Errorf("%w: bad command length", ErrCorruptEntry)
			}
			f(id, data[n:n+int(size):n+int(size)])
			data = data[n+int(size):]
			id.Seq++
		}
	}
	return nil
}

// EncodeUpdate makes the data of an update entry.
func EncodeUpdate(c Change) []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("wire: encode change: %v", err)) // plain data: cannot fail
	}
	return append([]byte{byte(EntryUpdate)}, b...)
}

// EncodeChange makes the context of a ConfChangeV2.
func EncodeChange(c Change) []byte { return EncodeUpdate(c)[1:] }

// DecodeChange reads what EncodeChange wrote.
func DecodeChange(b []byte) (Change, error) {
	var c Change
	if err := json.Unmarshal(b, &c); err != nil {
		return Change{}, fmt.Errorf("%w: change: %w", ErrCorruptEntry, err)
	}
	return c, nil
}

// DecodeUpdate reads what EncodeUpdate wrote.
func DecodeUpdate(data []byte) (Change, error) {
	if len(data) == 0 || EntryKind(data[0]) != EntryUpdate {
		return Change{}, fmt.Errorf("%w: not an update entry", ErrCorruptEntry)
	}
	return DecodeChange(data[1:])
}
