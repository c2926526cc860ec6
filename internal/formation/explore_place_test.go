package formation

import "encoding/binary"

// maxHosts bounds the nodes of an exploration.
const maxHosts = 6

// place is one state of the world.
type place struct {
	nodes []*nodeState // one per host
	left  budget
	notes []uint16 // that are still of use, sorted
	sum   uint64   // of the hashes of all these; what it is known by
	slot  uint32   // where the seen-set has it
}

// budget is how much may still happen.
type budget struct{ crashes, wipes, attempts, moves, words uint8 }

// hash is what it adds to the sum of a place.
func (b budget) hash() uint64 {
	return (uint64(b.words)<<32 + uint64(b.moves)<<24 + uint64(b.crashes)<<16 + uint64(b.wipes)<<8 + uint64(b.attempts) + 1) * 0x9E3779B97F4A7C15
}

// key spreads a sum over all 64 bits; never 0. Two places out of ten million
// have the same with a probability of 1 in 370,000: one of them would not be
// looked at.
func key(sum uint64) uint64 {
	sum ^= sum >> 31
	sum *= 0xBF58476D1CE4E5B9
	sum ^= sum >> 29
	return max(sum, 1)
}

// appendPlace encodes a place:
//
//	slot u32 | sum u64 | crashes, wipes, attempts, moves, words u8 | states u32… | count u16 | notes u16…
func appendPlace(b []byte, p *place) []byte {
	b = binary.LittleEndian.AppendUint32(b, p.slot)
	b = binary.LittleEndian.AppendUint64(b, p.sum)
	b = append(b, p.left.crashes, p.left.wipes, p.left.attempts, p.left.moves, p.left.words)
	for _, s := range p.nodes {
		b = binary.LittleEndian.AppendUint32(b, s.id)
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(p.notes)))
	for _, n := range p.notes {
		b = binary.LittleEndian.AppendUint16(b, n)
	}
	return b
}

// readPlace decodes the first place of b into p and returns the rest of b.
func (c *catalogue) readPlace(b []byte, p *place) []byte {
	p.slot = binary.LittleEndian.Uint32(b)
	p.sum = binary.LittleEndian.Uint64(b[4:])
	p.left = budget{b[12], b[13], b[14], b[15], b[16]}
	b = b[17:]
	p.nodes = p.nodes[:0]
	for range c.hosts {
		p.nodes = append(p.nodes, c.states[binary.LittleEndian.Uint32(b)])
		b = b[4:]
	}
	count := int(binary.LittleEndian.Uint16(b))
	b = b[2:]
	p.notes = p.notes[:0]
	for range count {
		p.notes = append(p.notes, binary.LittleEndian.Uint16(b))
		b = b[2:]
	}
	return b
}
