package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/testproc"
)

// etcdModule is built in a module of its own, with the dependencies of its
// release.
const (
	etcdModule  = "go.etcd.io/etcd/server/v3"
	etcdVersion = "v3.7.3"
)

// etcdSystem is etcd with the flags that its documentation gives for a static
// cluster; its own defaults otherwise.
type etcdSystem struct{}

func (etcdSystem) name() string { return "etcd" }

func (etcdSystem) build(ctx context.Context, dir string) (string, error) {
	module := filepath.Join(dir, "module")
	if err := os.Mkdir(module, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(module, "go.mod"), []byte("module etcd.build\n\ngo 1.26.0\n"), 0o644); err != nil {
		return "", err
	}
	if _, err := command(ctx, module, "go", "get", "-tool", etcdModule+"@"+etcdVersion); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "etcd")
	return binary, testproc.Build(ctx, module, binary, etcdModule)
}

func (etcdSystem) version(ctx context.Context, binary string) (string, error) {
	out, err := command(ctx, ".", binary, "--version")
	first, _, _ := strings.Cut(out, "\n")
	return first, err
}

func (etcdSystem) args(self *node, listed []*node) []string {
	return self.EtcdArgs("http", members(listed))
}

func (etcdSystem) expecting(*node, []*node, int) []string { return nil }

func (etcdSystem) tellsWhy() bool { return false }

func (etcdSystem) why(context.Context, string, *node) (string, []event.Reason, error) {
	return "", nil, nil
}
