// Package differential holds muster to etcd answer by answer: it sends the
// same seeded random requests to a real etcd and to a real muster and compares
// everything that comes back, response fields, error codes and messages,
// revisions and events.
//
// A program is a list of steps that a generator makes of a seed; each area of
// the API has a generator that favours the corners, and generate_odd.go makes
// requests odder than those do. Both systems play the program from the same
// state. Where their answers differ, the program is shrunk to a smallest one that
// still shows it, which is what the failing test prints. What may differ, and why,
// is the list in differences.go and nothing else.
//
// It is a test program, not a library. Without flags each run plays the same
// programs, 30 in most areas; this plays 5000 others:
//
//	go test ./differential -run KV -first 1000 -seeds 5000 -timeout 1h
//
// With -against etcd the requests go to two etcds: what then differs is a
// fault of this package.
package differential
