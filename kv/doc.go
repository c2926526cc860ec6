// Package kv is the etcd-shaped key-value store: a [statemachine.Machine] on
// Pebble with etcd 3.7's revisions, ranges and transactions.
//
// It is the machine and nothing around it: no network, no gRPC service, no
// raft. Requests are etcd's own protobuf types, and so are the responses and the
// errors, down to the quirks that a client can see (they are named where they
// are, see rangeKeys and checkWrites). Cluster ID, member ID and term in the
// headers are for the server to fill in.
//
// # Use
//
// A write is checked with [Check], made a command with [EncodePut],
// [EncodeDeleteRange], [EncodeTxn] or [EncodeCompaction], proposed, and comes
// back from Apply as a [Reply]. A read goes to [Store.Range] or
// [Store.ReadTxn] directly, from any goroutine; that it is linearizable is the
// caller's business.
//
// # Beside the keys
//
// Leases, alarms, users and roles are facts: each has one value, and no history
// (type facts). Commands change them, in the batch of the call, and what is kept
// of them in memory is read again by Open and Restore.
//
// Leases are kept with the keys that hang on them; when one is over is for the
// leader to say, by a command ([EncodeLeaseExpiry]). A put on a lease that isn't
// there is refused. Versions from before there were leases carried it out: a log
// that holds such a put must not be applied by both.
//
// A command may say who sent it ([EncodeAs]). While authentication is enabled,
// whether that user may do so is decided when it is applied; a read is asked
// about by whoever serves it, with [Store.Auth]. Who a caller is, by password,
// token or certificate, is not this package's business.
//
// # Invariants
//
//   - The revision starts at 1. Every command that changes something takes the
//     next one, as its main revision; the changes within it count from sub 0.
//   - State is a function of the applied commands alone: not of how they were
//     grouped into Apply calls, of who waits for a reply, of time, of a seed.
//     [Store.Hash] is what members may compare.
//   - One Pebble batch per Apply call holds the effects and the applied index.
//     Pebble's WAL is off: the raft log is the WAL. What is lost in a crash is
//     a suffix of whole Apply calls, and Open returns where to go on from.
//   - What a command changes beyond some mebibytes is written in pieces before
//     that batch, of versions that nobody reads until then (see pieces.go). Open
//     takes back what a crash has left of them. So no command is too large to be
//     carried out, and what it takes of memory is bounded. What can be refused is
//     refused before a piece is written.
//   - A read sees one revision, the one published after the last commit.
//     Versions are never changed, so it needs no lock, only to skip what is newer.
//   - A failed write to disk is final: the store refuses everything from then
//     on, and the member stops.
//
// # Layout, and why
//
// A version of a key lies under (key, newest revision first), with its value;
// see [github.com/musterhq/muster/kv/internal/mvcc]. The alternatives:
//
//   - etcd's: values under the revision, and an index from keys to revisions in
//     memory. A range then is one random read for each key; starting takes
//     time, and running takes memory, in proportion to the number of keys. Here
//     a range is one sequential scan, starting reads nothing of the keys, and
//     memory is what the options say.
//   - The same index on disk: two writes for each put, and still a random read
//     for each key of a range.
//   - The newest version under the bare key, and history elsewhere: a faster
//     scan where keys have many versions, for two writes for each put. Pebble's
//     NextPrefix skips old versions well enough.
//
// What the order of keys can't answer is "what changed since revision r", which
// a watch that starts in the past asks, and which a purge of compacted
// history asks, to touch what changed and not the whole store. For that there is the event
// log: the keys changed, by revision, without values. It costs one Pebble entry
// for each Apply call and a few bytes for each change. One entry for each put
// would have doubled the work in the memtable, which is most of what a put costs.
//
// A put needs the create revision and the version of the one before. They
// come from the commands before it in the same call (type pending), from what
// was written since the last flush (type recent), or from the tables on disk,
// where bloom filters on the keys tell most new keys at once.
//
// Large values are not separated into blob files yet: Pebble 2.1 calls that
// experimental. Watch it: it would cut the cost of compactions for values of
// kibibytes.
//
// # Watches
//
// A watch is told of what changes, from any revision on that is not compacted;
// see [Store.NewWatches]. The newest changes of all keys are kept in memory
// while anybody watches, and whoever lags behind them is served from the event
// log and the versions on disk; those that lag side by side share what is read (type
// chunk). Apply copies its changes, notes them with the
// watches if those are few, and goes on; those of a call that is written in pieces
// are on disk alone. A revision that is too large for one batch comes in parts.
//
// # Compaction
//
// A compaction command moves the mark below which reads are refused. What lies
// below is deleted in the background, on each member by itself (type purger):
// the event log from the last mark to the new one names the versions that may
// go, so that the work is as much as was changed, and not as there are keys.
// The log goes with them, and begins where the purge got to: a member that
// starts again, or that starts from an image, goes on there. Pebble gives the
// space back as it merges its tables; there is nothing to defragment.
//
// What is purged when must not show. A reader takes hold of the store before
// it looks at the mark, and a purge waits for the readers that came before its
// mark (type era).
package kv
