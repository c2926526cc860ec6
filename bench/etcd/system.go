package main

import (
	"fmt"
	"time"

	"github.com/musterhq/muster/internal/testproc"
)

// system is one kind of server.
type system struct {
	name   string
	module string // directory of the module to build it in, relative to bench/
	pkg    string // its main package
	args   func(self *testproc.Member, all []*testproc.Member) []string
}

// Both get the same election settings; they are also the defaults of both.
// Everything else is each server's own default.
const (
	heartbeat = 100 * time.Millisecond
	election  = time.Second
)

func systemOf(name string) (system, error) {
	switch name {
	case "etcd":
		return system{name: name, module: "etcdserver", pkg: "go.etcd.io/etcd/server/v3", args: etcdArgs}, nil
	case "muster":
		return system{name: name, module: "..", pkg: "./cmd/muster", args: musterArgs}, nil
	}
	return system{}, fmt.Errorf("unknown system %q: choose from etcd, muster", name)
}

func etcdArgs(self *testproc.Member, all []*testproc.Member) []string {
	return append(self.EtcdArgs("http", all),
		fmt.Sprintf("--heartbeat-interval=%d", heartbeat.Milliseconds()),
		fmt.Sprintf("--election-timeout=%d", election.Milliseconds()))
}

func musterArgs(self *testproc.Member, all []*testproc.Member) []string {
	return append(self.MusterArgs(all), "--heartbeat-interval="+heartbeat.String(), "--election-timeout="+election.String())
}
