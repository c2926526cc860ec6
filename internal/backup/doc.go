// Package backup is one file that holds an image of a state machine: how it is
// written, checked and taken apart again. It is what clients get as a snapshot,
// and what a new cluster is made of.
//
// It knows nothing of what the files in an image are, of raft, or of clusters.
// Images between members are package snapshot's: directories that stay.
//
// # Format
//
//	+---------------+----------------+------------------+-------------------+
//	| "MUSTBAK1" 8  | length (4, LE) | crc32c (4, LE)   | header, JSON      |
//	+---------------+----------------+------------------+-------------------+
//	| bytes of the first file        | crc32c (4, LE)   | for each file of  |
//	| ...                            | ...              | the header        |
//	+--------------------------------+------------------+-------------------+
//	| zeros up to a multiple of 512                                         |
//	+-----------------------------------------------------------------------+
//	| SHA-256 of all that is before it, 32                                  |
//	+-----------------------------------------------------------------------+
//
// The checksum at the end, and that what it covers is a multiple of 512 bytes, are
// as in etcd's snapshots: etcd's client takes no file for one without them. The
// checksums of the files say where the damage is.
package backup
