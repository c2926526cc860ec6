// Package datadir owns a node's data directory: its names, its identity and
// its lock.
//
// It knows nothing of what the log, the snapshots, the machine or the
// formation protocol put there; it gives them places and two small documents
// ([Dir.SaveState], [Dir.SavePeers]). A node opens its directory first and
// closes it last.
//
//	LOCK        held while a process has the directory open
//	identity    who this node is; written before anything below
//	state       what formation promised; absent before the first promise
//	peers       what runs of other members were met; absent before the first
//	log/        package raftlog
//	snapshot/   package snapshot
//	machine/    the state machine
//
// # Invariants
//
//   - An incarnation is drawn once, into an empty directory, and is durable
//     before Open returns. It is never drawn again: an identity that is
//     damaged or missing beside other files is refused, not replaced.
//   - Until the identity is durable nothing else is written, so that a crash
//     during the first Open leaves what the next one takes for empty.
//   - The epoch grows by one with every Open and a random word is drawn, durably:
//     two runs of a node, or a node and its restored backup, can be told apart.
//   - Files are replaced as a whole: written beside, synced, renamed, and the
//     directory synced. A crash leaves the old one or the new one.
//   - A directory that is not ours, or another node's, is not touched at all.
//
// identity, state and peers are JSON documents of one shape: the format version,
// a CRC32C (8 hex digits), and the body. The checksum covers the version in
// decimal, a space, and the body's bytes as they stand in the file:
//
//	{"format":1,"crc32c":"d5a6e95a","body":{…}}
package datadir
