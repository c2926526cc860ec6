package cluster

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
)

// NodeID is a member's raft ID. It is never 0 for a real node, is derived from
// the node's [Incarnation], and is never used again once its disk is gone.
type NodeID uint64

// String gives 16 lower-case hex digits, the form that etcdctl prints.
func (id NodeID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// ParseNodeID reads what [NodeID.String] writes; leading zeros may be missing.
func ParseNodeID(s string) (NodeID, error) {
	u, err := strconv.ParseUint(s, 16, 64)
	if err != nil || u == 0 {
		return 0, fmt.Errorf("%q is no member ID: want 1 to 16 hex digits, not all zero", s)
	}
	return NodeID(u), nil
}

// MarshalText encodes the ID as [NodeID.String] does, so that JSON readers
// without 64-bit integers keep every digit. The zero ID is the empty text.
func (id NodeID) MarshalText() ([]byte, error) {
	if id == 0 {
		return nil, nil
	}
	return []byte(id.String()), nil
}

// UnmarshalText is the inverse of [NodeID.MarshalText].
func (id *NodeID) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*id = 0
		return nil
	}
	v, err := ParseNodeID(string(b))
	if err != nil {
		return err
	}
	*id = v
	return nil
}

// Incarnation is the 128-bit random identity of one data directory. It is
// drawn once, made durable before the first packet, and lost with the disk.
type Incarnation [16]byte

// IsZero says whether the incarnation is not set.
func (i Incarnation) IsZero() bool { return i == Incarnation{} }

// String gives 32 hex digits.
func (i Incarnation) String() string { return hex.EncodeToString(i[:]) }

// MarshalText encodes the incarnation as hex; the zero value as empty text.
func (i Incarnation) MarshalText() ([]byte, error) { return marshalHex(i[:], i.IsZero()) }

// UnmarshalText is the inverse of [Incarnation.MarshalText].
func (i *Incarnation) UnmarshalText(b []byte) error { return unmarshalHex(i[:], b, "incarnation") }

// Compare orders incarnations by their bytes.
func (i Incarnation) Compare(o Incarnation) int {
	for k := range i {
		if i[k] != o[k] {
			if i[k] < o[k] {
				return -1
			}
			return 1
		}
	}
	return 0
}

// NodeID derives the raft ID: the first eight bytes, big-endian. The values
// that raft keeps for itself (0, and the two local-thread targets at the top)
// fall through to the last eight bytes, and at last to 1.
func (i Incarnation) NodeID() NodeID {
	for _, part := range [][]byte{i[:8], i[8:]} {
		if v := binary.BigEndian.Uint64(part); v != 0 && v < math.MaxUint64-1 {
			return NodeID(v)
		}
	}
	return 1
}

// ClusterID is the first 128 bits of the SHA-256 of the genesis record. Two
// clusters can't share one: the genesis holds its founders' incarnations and a
// nonce.
type ClusterID [16]byte

// IsZero says whether the ID is not set (the node is in no cluster yet).
func (c ClusterID) IsZero() bool { return c == ClusterID{} }

// String gives 32 hex digits.
func (c ClusterID) String() string { return hex.EncodeToString(c[:]) }

// Uint64 is the short form that etcd's response headers carry.
func (c ClusterID) Uint64() uint64 { return binary.BigEndian.Uint64(c[:8]) }

// MarshalText encodes the ID as hex; the zero value as empty text.
func (c ClusterID) MarshalText() ([]byte, error) { return marshalHex(c[:], c.IsZero()) }

// UnmarshalText is the inverse of [ClusterID.MarshalText].
func (c *ClusterID) UnmarshalText(b []byte) error { return unmarshalHex(c[:], b, "cluster ID") }

func marshalHex(b []byte, zero bool) ([]byte, error) {
	if zero {
		return nil, nil
	}
	return []byte(hex.EncodeToString(b)), nil
}

func unmarshalHex(dst, src []byte, what string) error {
	if len(src) == 0 {
		clear(dst)
		return nil
	}
	if hex.DecodedLen(len(src)) != len(dst) {
		return fmt.Errorf("%s: want %d hex digits, got %d", what, 2*len(dst), len(src))
	}
	if _, err := hex.Decode(dst, src); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
