package raftlog

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	magic      = "muster.log\r\n"
	version    = 1
	fileHeader = 16 // bytes: magic and version
	recordHead = 40 // bytes: header of a record
)

// MaxAppendBytes bounds what one Append stores, headers included.
const MaxAppendBytes = 1 << 30

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// header is the head of one record; see the package doc for its bytes.
type header struct {
	sum     uint32 // of the payload
	length  uint32 // bytes of payload, a multiple of 8
	segment uint32
	seq     uint64
	offset  int64 // of the header itself
	synced  int64 // <= offset
}

func (h *header) put(b []byte) {
	_ = b[recordHead-1]
	le.PutUint32(b[4:], h.sum)
	le.PutUint32(b[8:], h.length)
	le.PutUint32(b[12:], h.segment)
	le.PutUint64(b[16:], h.seq)
	le.PutUint64(b[24:], uint64(h.offset))
	le.PutUint64(b[32:], uint64(h.synced))
	le.PutUint32(b, checksum(b[4:recordHead]))
}

// parseHeader reads the header that stands at offset of the given segment. It
// says false when there is none.
func parseHeader(b []byte, segment uint32, offset int64) (header, bool) {
	_ = b[recordHead-1]
	if le.Uint32(b[12:]) != segment || le.Uint64(b[24:]) != uint64(offset) {
		return header{}, false
	}
	if le.Uint32(b) != checksum(b[4:recordHead]) {
		return header{}, false
	}
	h := header{
		sum:     le.Uint32(b[4:]),
		length:  le.Uint32(b[8:]),
		segment: segment,
		seq:     le.Uint64(b[16:]),
		offset:  offset,
		synced:  int64(le.Uint64(b[32:])),
	}
	if h.length%8 != 0 || h.synced < 0 || h.synced > offset {
		return header{}, false
	}
	return h, true
}

// beginRecord appends room for a header to buf; the items follow.
func beginRecord(buf []byte) []byte {
	var head [recordHead]byte
	return append(buf, head[:]...)
}

// sealRecord pads the record that starts at buf[at:] and fills in its header.
func sealRecord(buf []byte, at int, h header) []byte {
	for (len(buf)-at)%8 != 0 {
		buf = append(buf, 0)
	}
	payload := buf[at+recordHead:]
	h.length = uint32(len(payload))
	h.sum = checksum(payload)
	h.put(buf[at:])
	return buf
}

func appendFileHeader(buf []byte) []byte {
	buf = append(buf, magic...)
	return le.AppendUint32(buf, version)
}
