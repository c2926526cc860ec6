// Package system starts what the tests of this module talk to: clusters of
// real processes, of muster built from the sources around this module, and of
// etcd built from its Go module.
//
// It is for tests on one machine. Every process listens on loopback, keeps its
// data below the test's temporary directory, and is gone when the test is.
package system

import (
	"strings"
)

// Kind is a kind of server.
type Kind struct {
	Name   string
	module string // directory of the module to build it in, from the repository's root
	pkg    string // its main package
	args   func(self *Member, all []*Member) []string
}

// Etcd is built with exactly the dependencies of its release, and Muster from
// the sources around this module.
var (
	Etcd   = Kind{Name: "etcd", module: "bench/etcdserver", pkg: "go.etcd.io/etcd/server/v3", args: etcdArgs}
	Muster = Kind{Name: "muster", module: ".", pkg: "./cmd/muster", args: musterArgs}
)

// Kinds are both, the reference first.
func Kinds() []Kind { return []Kind{Etcd, Muster} }

// etcdArgs leaves out fsync: no test here cuts the power, and killing a process
// loses nothing that it wrote.
func etcdArgs(self *Member, all []*Member) []string {
	cluster := make([]string, len(all))
	for i, m := range all {
		cluster[i] = m.Name + "=http://" + m.peer
	}
	return []string{
		"--name=" + self.Name,
		"--data-dir=" + self.dir,
		"--listen-client-urls=http://" + self.Client,
		"--advertise-client-urls=http://" + self.Client,
		"--listen-peer-urls=http://" + self.peer,
		"--initial-advertise-peer-urls=http://" + self.peer,
		"--initial-cluster=" + strings.Join(cluster, ","),
		"--initial-cluster-state=new",
		"--unsafe-no-fsync",
		"--bcrypt-cost=4",
		"--log-level=error",
	}
}

func musterArgs(self *Member, all []*Member) []string {
	args := []string{
		"serve",
		"--name=" + self.Name,
		"--data-dir=" + self.dir,
		"--listen=" + self.Client,
		"--peer-listen=" + self.peer,
	}
	if len(all) == 1 {
		return append(args, "--single")
	}
	seeds := make([]string, len(all))
	for i, m := range all {
		seeds[i] = m.peer
	}
	return append(args, "--seeds="+strings.Join(seeds, ","))
}
