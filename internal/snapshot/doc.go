// Package snapshot keeps images of the state machine: it writes them, checks
// them, streams them to another member and receives them.
//
// An [Image] is a directory of files that never change, with a manifest that
// says at which log index it was taken, who was in the cluster then, and the
// size and CRC32C of each file. A [Store] holds the images of one member:
//
//	<store>/image-<index>-<term>/MANIFEST     visible, complete, durable
//	                             data/…       what Machine.Checkpoint wrote
//	<store>/draft-<n>/…                       being written by this process
//	<store>/receipt/OFFER PROGRESS data/…     being received; survives a restart
//	<store>/trash-…                           being deleted
//
// The package doesn't decide when an image is taken, sent or installed, and
// never looks into the files. It is used by the host, and by recovery on a
// stopped directory.
//
// # Invariants
//
//   - An image becomes visible by one rename, after every byte of it and every
//     directory entry in it is on disk. A crash at any point leaves the images
//     there were, or those and the new one.
//   - Nothing received is believed before its checksum was compared: frames on
//     the way, prefixes when a transfer is resumed after a restart, each whole
//     file at its end.
//   - The newest image is never deleted, nor one that is held.
//   - What a peer says about paths, counts and sizes is bounded and checked
//     before anything is created or allocated for it.
//
// # Transfer
//
// [Send] and [Store.Receive] speak on one connection in frames of package
// wire; KindSnapshot carries JSON, KindChunk bytes:
//
//	sender                     receiver
//	offer (manifest)     →
//	chunk (the message)  →
//	                     ←     have (file, offset) | refused
//	chunk … chunk        →                           files in the manifest's order, from there on
//	                     ←     done | refused        all of it is verified and durable
//
// Either side sends "wait" instead of falling silent while it works, and the
// sender "failed" when it can't go on. A cut connection leaves the receipt; an
// offer of the same manifest goes on where it ended, an offer of another one
// begins anew.
package snapshot
