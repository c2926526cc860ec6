// Package wire holds every byte that two nodes or two versions must agree on.
//
// Four layers, all over one peer port:
//
//   - A connection opens with the dialler's [Hello]; the acceptor answers with
//     its own Hello or a [Refusal]. Nothing else is read before both agree.
//   - Control: one [Request] and one [Response] per connection. JSON, because
//     it is rare, small and must bear unknown fields of a newer version.
//   - Messages: a one-way stream of [Frame]s with raft messages and forwarded
//     proposals, in binary, because it is the hot path.
//   - Questions: [Question]s and [Answer]s of embedders, in binary, on a
//     connection that is kept while it is used.
//
// Every frame is `length uint32 | crc32c uint32 | kind byte | payload`, see
// [ReadFrame]. The package encodes and decodes; it opens no connection,
// decides nothing and keeps nothing. Every length is checked before memory is
// allocated for it.
package wire
