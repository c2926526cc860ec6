package formation

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/musterhq/muster/internal/wire"
)

// Clone returns a Former that goes its own way from here. Effects not yet
// taken go with both.
func (f *Former) Clone() *Former {
	c := *f
	c.peers = slices.Clone(f.peers)
	if f.try != nil {
		t := *f.try
		t.got, t.shown = slices.Clone(t.got), slices.Clone(t.shown)
		c.try = &t
	}
	c.out.Calls = slices.Clone(f.out.Calls)
	c.out.Replies = slices.Clone(f.out.Replies)
	c.out.Events = slices.Clone(f.out.Events)
	return &c
}

// Fingerprint is equal for two Formers of the same Config which will act
// alike, and different otherwise. How long things have lasted, which only
// reasons tell, is not in it.
func (f *Former) Fingerprint() [sha256.Size]byte {
	b := appendDurable(nil, f.d)
	b = appendInts(b, int(f.highest), f.quiet, f.spoilt, f.joinWait, bit(f.done), bit(f.yields), bit(f.joinOpen))
	b = appendString(append(b, f.joinID[:]...), f.joinAt)
	if f.joining != nil {
		b = appendString(b, string(f.joining.Status))
	}
	for i := range f.peers {
		b = appendPeer(b, &f.peers[i])
	}
	for _, i := range f.crowd {
		b = append(b, i[:]...)
	}
	if t := f.try; t != nil {
		b = appendBallot(appendBallot(b, t.ballot), t.best)
		b = appendString(appendString(b, string(t.genesis)), string(t.bestRaw))
		for _, raw := range t.shown {
			b = appendString(b, string(raw))
		}
		for i, x := range t.founders {
			b = append(b, x.id.Incarnation[:]...)
			b = appendInts(b, bit(t.got[i]))
		}
	}
	if f.blocked != nil {
		for _, x := range f.blocked.founders {
			b = append(b, x.id.Incarnation[:]...)
		}
	}
	return sha256.Sum256(b)
}

func appendDurable(b []byte, d Durable) []byte {
	b = appendString(b, string(d.Stage))
	b = appendBallot(appendBallot(b, d.Promised), d.Accepted)
	b = appendString(b, string(d.Genesis))
	b = append(append(b, d.ClusterID[:]...), byte(bit(d.Founded)))
	for _, id := range d.Abandoned {
		b = append(b, id[:]...)
	}
	return b
}

func appendPeer(b []byte, p *peer) []byte {
	b = appendString(b, p.addr)
	b = appendInts(b, bit(p.self), bit(p.live), bit(p.met), bit(p.open), bit(p.probed), bit(p.names), bit(p.refusal != nil), bit(p.offered))
	b = appendInts(b, p.wait[:]...)
	b = append(append(b, p.hello.Self.Incarnation[:]...), p.hello.ClusterID[:]...)
	b = appendInts(b, p.hello.Protocol, bit(p.hello.Stage == wire.InCluster), bit(p.hello.Stage == wire.Removed))
	b = appendInts(b, p.hello.Expect, bit(p.hello.Stage == wire.Accepted))
	for _, i := range p.sees {
		b = append(b, i[:]...)
	}
	b = append(appendString(b, p.hello.Cluster), p.hello.Pin[:]...)
	for _, s := range p.hello.Seeds {
		b = appendString(b, s)
	}
	return b
}

func appendBallot(b []byte, x wire.Ballot) []byte {
	return append(binary.BigEndian.AppendUint64(b, x.Counter), x.Node[:]...)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendInts(b []byte, ints ...int) []byte {
	for _, i := range ints {
		b = binary.AppendVarint(b, int64(i))
	}
	return b
}

func bit(v bool) int {
	if v {
		return 1
	}
	return 0
}
