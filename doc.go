// Package muster replicates a state machine over a cluster that forms, joins,
// grows, heals and shrinks by itself, and that says why when it doesn't.
//
// An embedder brings a [statemachine.Machine] (or a [statemachine.Memory]),
// calls [Start] on each of its processes with the same seeds, proposes
// commands with [Node.Propose], and reads after [Node.ReadIndex]:
//
//	node, err := muster.Start(ctx, muster.Config{
//		Name:       "a",
//		DataDir:    "/var/lib/counter",
//		PeerListen: "10.0.0.1:2380",
//		Seeds:      []string{"10.0.0.1:2380", "10.0.0.2:2380", "10.0.0.3:2380"},
//	}, statemachine.InMemory(&counter))
//
// The package is the door and holds no protocol: the brain is
// internal/replica with formation and roster, the body internal/host.
// Everything exported here is safe for concurrent use.
//
// Every call that may change the cluster or its state answers one of three
// things, never blurred: it happened (nil), it did not (any error but one), or
// nobody knows ([ErrUnknownOutcome]).
package muster
