// Package crashfs is a file system in memory that can lose power.
//
// It is for tests and for the simulator, and no part of a node that runs. It
// implements Pebble's vfs.FS, remembers for every file and directory what was
// synced and which changes came after that, and makes images of what a disk
// might hold after a crash ([FS.Crash]) or after the death of the process
// ([FS.Kill]). A hook sees every operation that changes something, and can
// take an image there or make it fail ([FS.SetHook]).
//
// Invariants:
//
//   - Deterministic: the same calls and the same seed give the same image, byte
//     by byte. Nothing depends on map order, on a clock or on global randomness.
//   - What was synced is in every image. A file's bytes are made durable by
//     Sync and SyncData of that file, names by Sync of their directory. SyncTo
//     promises nothing. A rename is in an image as a whole or not at all.
//   - An unsynced write survives by sectors of [SectorSize] bytes, in any
//     order; names survive in any order too, as POSIX allows.
//   - A sync that fails loses what it was to write for good, though it can
//     still be read, as Linux does: a later sync of the same file that
//     succeeds does not bring it back.
//
// Every method may be called from several goroutines; images are independent
// of the FS that they come from.
package crashfs
