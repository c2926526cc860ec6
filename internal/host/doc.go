// Package host gives a replica a body: it owns every goroutine, clock, disk
// and socket of a node, and decides nothing about the protocol.
//
// The goroutines, and what each owns:
//
//   - loop owns the formation.Former while the node is in no cluster yet, and
//     the replica.Replica from then on. It takes inputs in batches and never
//     waits for a stage that answers to it.
//   - appender is the only writer of the log: one write and one sync for
//     everything that waits.
//   - applier drives the machine.
//   - the transport has one sender per peer and one reader per connection.
//   - rare and slow things (a snapshot, a question to another node) run in
//     goroutines of their own and come back as inputs of the loop.
//
// Work between them waits in slices, never in channels that could fill up in a
// ring; back-pressure acts at the door, where a caller is told ErrOverloaded.
// A failed disk or machine stops the node: see [Host.Err].
//
// Package muster is its only caller, the simulator its only sibling.
package host
