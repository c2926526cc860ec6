// Package transport moves raft messages, questions and snapshot streams
// between nodes. It may lose messages and never interprets them.
//
// A node listens on its peer port, or on several. Every connection opens with a [wire.Hello]
// from each side, which the [Handler] judges before anything else is read; the
// purpose in the dialler's Hello then says what the connection carries:
//
//   - control: one request, one response ([Transport.Call]);
//   - messages: frames of batches from the dialler to the acceptor, and
//     nothing but keep-alive frames back. Each node dials each of its peers,
//     so two members are joined by two such connections;
//   - snapshot: a raw connection that package snapshot speaks on
//     ([Transport.OpenSnapshot]).
//
// # Invariants
//
//   - [Transport.Send] never blocks. What can't be sent yet waits in a queue
//     bounded in bytes and in age, also before the first connection is up;
//     what is dropped is told through [Handler.Unreachable].
//   - Messages arrive in the order of Send, each at most once per connection.
//     A broken connection loses what was in flight.
//   - A peer that falls silent is noticed within [Config.IdleTimeout] on both
//     sides: an idle messages connection carries an empty frame every
//     [Config.KeepAlive], and the acceptor sends such frames for as long as
//     bytes come, in the midst of a frame too. How long a frame takes on a slow
//     link breaks nothing.
//   - No lock is held over a Handler call or over I/O.
//   - After [Transport.Close] no goroutine, connection or listener is left.
//
// The same code runs over real sockets ([TCP]) and over [Memory], a network
// for tests that can be cut, blocked and healed.
//
// Goroutines: one acceptor, one per accepted connection, one sender and (while
// connected) one watcher per peer, one notifier. Used by the host; the test
// network also by mustertest.
package transport
