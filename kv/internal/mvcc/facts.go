package mvcc

import "encoding/binary"

// MetaKey names one of the store's own facts.
func MetaKey(name string) []byte { return append([]byte{metaSpace}, name...) }

// LeaseKey is where the lease of that ID lies.
func LeaseKey(id int64) []byte {
	return binary.BigEndian.AppendUint64([]byte{leaseSpace}, uint64(id))
}

// LeaseBounds are the limits of all leases.
func LeaseBounds() (lower, upper []byte) { return []byte{leaseSpace}, []byte{leaseSpace + 1} }

// LeaseOf reads the ID in a lease's key.
func LeaseOf(key []byte) (id int64, ok bool) {
	if len(key) != 1+8 || key[0] != leaseSpace {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(key[1:])), true
}

// AppendAttachment appends the key that says that a user key hangs on a lease.
func AppendAttachment(dst []byte, lease int64, user []byte) []byte {
	dst = append(dst, attachSpace)
	dst = binary.BigEndian.AppendUint64(dst, uint64(lease))
	return append(dst, user...)
}

// AttachmentBounds are the limits of what hangs on one lease.
func AttachmentBounds(lease int64) (lower, upper []byte) {
	lower = AppendAttachment(nil, lease, nil)
	if lease == -1 { // the last one: no number follows it
		return lower, []byte{attachSpace + 1}
	}
	return lower, AppendAttachment(nil, lease+1, nil)
}

// AllAttachments are the limits of what hangs on any lease.
func AllAttachments() (lower, upper []byte) { return []byte{attachSpace}, []byte{attachSpace + 1} }

// AttachedKey reads the user key in an attachment; it aliases key.
func AttachedKey(key []byte) (user []byte, ok bool) {
	if len(key) < 1+8 || key[0] != attachSpace {
		return nil, false
	}
	return key[1+8:], true
}

// AuthKey is where one thing of users and roles lies: kind tells which sort of
// thing, name which one.
func AuthKey(kind byte, name string) []byte {
	return append([]byte{authSpace, kind}, name...)
}

// AuthBounds are the limits of all things of one kind.
func AuthBounds(kind byte) (lower, upper []byte) {
	return []byte{authSpace, kind}, []byte{authSpace, kind + 1}
}

// FactSpaces are the keyspaces of everything but the versions of keys and the
// event log, in their order.
func FactSpaces() []byte { return []byte{attachSpace, leaseSpace, metaSpace, authSpace} }
