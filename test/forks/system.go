package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"

	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/testproc"
)

// system is what the scenarios are played with.
type system interface {
	name() string
	// build makes the program in dir.
	build(ctx context.Context, dir string) (binary string, err error)
	version(ctx context.Context, binary string) (string, error)
	// args are the flags of one of the nodes that are to found a cluster, in
	// the order in which it lists them.
	args(self *node, listed []*node) []string
	// expecting are the flags of one that is to found a cluster of some of
	// those listed, whichever meet; nil where there is no such thing.
	expecting(self *node, listed []*node, expect int) []string
	// tellsWhy says whether a node can be asked what it waits for; why asks, and
	// returns the answer in words and the reasons in it.
	tellsWhy() bool
	why(ctx context.Context, binary string, n *node) (string, []event.Reason, error)
}

func systemOf(name string) (system, error) {
	switch name {
	case "muster":
		return musterSystem{}, nil
	case "etcd":
		return etcdSystem{}, nil
	case "":
		return nil, fmt.Errorf("name what to play with: muster or etcd")
	}
	return nil, fmt.Errorf("unknown system %q: choose from muster, etcd", name)
}

// command runs a program in dir and returns what it prints.
func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(out.String()), nil
}

func members(ns []*node) []*testproc.Member {
	all := make([]*testproc.Member, len(ns))
	for i, n := range ns {
		all[i] = n.Member
	}
	return all
}
