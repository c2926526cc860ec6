package main

import (
	"fmt"
	"strings"
	"time"
)

// system is one kind of server.
type system struct {
	name   string
	module string // directory of the module to build it in, relative to bench/
	pkg    string // its main package
	args   func(self member, all []member) []string
}

// member is one process of a cluster.
type member struct {
	name, dir    string
	client, peer string // host:port
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

func etcdArgs(self member, all []member) []string {
	cluster := make([]string, len(all))
	for i, m := range all {
		cluster[i] = m.name + "=http://" + m.peer
	}
	return []string{
		"--name=" + self.name,
		"--data-dir=" + self.dir,
		"--listen-client-urls=http://" + self.client,
		"--advertise-client-urls=http://" + self.client,
		"--listen-peer-urls=http://" + self.peer,
		"--initial-advertise-peer-urls=http://" + self.peer,
		"--initial-cluster=" + strings.Join(cluster, ","),
		"--initial-cluster-state=new",
		fmt.Sprintf("--heartbeat-interval=%d", heartbeat.Milliseconds()),
		fmt.Sprintf("--election-timeout=%d", election.Milliseconds()),
	}
}

func musterArgs(self member, all []member) []string {
	seeds := make([]string, len(all))
	for i, m := range all {
		seeds[i] = m.peer
	}
	return []string{
		"serve",
		"--name=" + self.name,
		"--data-dir=" + self.dir,
		"--listen=" + self.client,
		"--peer-listen=" + self.peer,
		"--seeds=" + strings.Join(seeds, ","),
		"--heartbeat-interval=" + heartbeat.String(),
		"--election-timeout=" + election.String(),
	}
}
