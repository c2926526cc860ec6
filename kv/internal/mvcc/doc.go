// Package mvcc is the on-disk vocabulary of package kv: how keys, versions and
// the event log are laid out in Pebble.
//
// It is encoding and ordering only: no I/O, no goroutine, no state. It is not
// a store; kv decides what is written and when. Only kv imports it.
//
// # Keyspaces
//
// The first byte of every Pebble key names its keyspace:
//
//	'a' + lease(8) + user key                  the key hangs on the lease
//	'e' + main(8) + sub(4)                     event log record, see [AppendEvent]
//	'k' + escaped user key + 00 [+ revision]   one version of one user key
//	'l' + lease(8)                             a lease
//	'm' + name                                 the store's own facts
//	'u' + kind(1) + name                       users, roles, and what else is of access control
//
// # Versions
//
// A version is a key of its own, so history needs no read before a write and
// the newest version of a key is the first one met:
//
//	+-----+------------------------------------+----+---------------+--------------+
//	| 'k' | user key, 00→01 01, 01→01 02       | 00 | ^main (8, BE) | ^sub (4, BE) |
//	+-----+------------------------------------+----+---------------+--------------+
//	|<---------------- prefix (Split) -------------->|<--------- suffix --------->|
//
// The escape keeps bytewise order equal to the order of user keys and leaves
// no zero byte in them, so that the first zero byte ends the prefix and plain
// bytes.Compare orders the whole store. The prefix is what bloom filters are
// built on. Both revision parts are complemented: newer sorts first, and
// seeking to (key, rev) lands on the newest version that is not newer than rev.
//
// The value of a live version:
//
//	+------------------------+-----------------+---------------+----------+
//	| main - create, uvarint | version, uvarint| lease, uvarint| value    |
//	+------------------------+-----------------+---------------+----------+
//
// A tombstone is the empty value; a live version has at least three bytes.
package mvcc
