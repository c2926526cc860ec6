package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/testproc"
)

// musterSystem is what this tree holds.
type musterSystem struct{}

func (musterSystem) name() string { return "muster" }

func (musterSystem) build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "muster")
	return binary, testproc.Build(ctx, ".", binary, "github.com/musterhq/muster/cmd/muster")
}

func (musterSystem) version(ctx context.Context, binary string) (string, error) {
	out, err := command(ctx, ".", binary, "version")
	first, _, _ := strings.Cut(out, "\n")
	return first, err
}

func (musterSystem) args(self *node, listed []*node) []string {
	return self.MusterArgs(members(listed))
}

func (s musterSystem) expecting(self *node, listed []*node, expect int) []string {
	return append(s.args(self, listed), "--expect="+strconv.Itoa(expect))
}

func (musterSystem) tellsWhy() bool { return true }

// why asks as an operator would, in words and in JSON.
func (musterSystem) why(ctx context.Context, binary string, n *node) (string, []event.Reason, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*callTime)
	defer cancel()
	text, err := command(ctx, ".", binary, "why", "--endpoint", n.Client)
	if err != nil {
		return "", nil, err
	}
	out, err := command(ctx, ".", binary, "why", "--endpoint", n.Client, "--output", "json")
	if err != nil {
		return "", nil, err
	}
	var answer struct{ Reasons []event.Reason }
	err = json.Unmarshal([]byte(out), &answer)
	return text, answer.Reasons, err
}
