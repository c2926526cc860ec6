package main

import (
	"context"
	"fmt"
	"sort"
	"strings"
)

// cluster is three members of one system, all in this process, over TCP on
// loopback, each with its own directory, syncing every write it acknowledges.
type cluster interface {
	// Propose returns nil once the leader has committed the command and its
	// state machine has applied it. It is called by many goroutines.
	Propose(ctx context.Context, command []byte) error
	// Applied is how many commands the leader's state machine has applied.
	Applied() uint64
	// Close ends all members.
	Close() error
}

// members is how many there are of each system.
const members = 3

// start founds a cluster below dir, an empty directory, and returns once it
// has a leader that takes commands.
type start func(ctx context.Context, dir string) (cluster, error)

// systems are the contestants. Another one is one more file and one more line.
func systems() map[string]start {
	return map[string]start{
		"hashicorp":       startHashicorpDefault,
		"hashicorp-tuned": startHashicorpTuned,
		"muster":          startMuster,
	}
}

func startOf(name string) (start, error) {
	all := systems()
	if s, ok := all[name]; ok {
		return s, nil
	}
	names := make([]string, 0, len(all))
	for n := range all {
		names = append(names, n)
	}
	sort.Strings(names)
	return nil, fmt.Errorf("unknown system %q: choose from %s", name, strings.Join(names, ", "))
}
