// Package mustertest runs whole clusters inside a Go test: real nodes over a
// network in memory, which the test starts, stops, crashes, wipes, and cuts
// apart. It also holds the test that every state machine should pass.
//
//	func TestCounter(t *testing.T) {
//		c := mustertest.New(t, mustertest.Options{Machine: func(string) statemachine.Machine {
//			return statemachine.InMemory(&counter{})
//		}})
//		c.Start() // n1, n2 and n3
//		c.Ready(t.Context())
//		c.Crash("n2")
//		…
//	}
//
// The nodes are those of package muster, with their goroutines, their files
// (in t.TempDir) and their timeouts; only the network is another. Inside a
// [testing/synctest] bubble time is virtual: a test then waits for an hour at
// no cost, and never because the machine is busy.
//
// It is for tests alone: mistakes in its use, and nodes that can't be started,
// end the test. Everything is closed in t.Cleanup. Methods of [Cluster] may be
// called from any goroutine, those that can end the test only from the test's.
package mustertest
