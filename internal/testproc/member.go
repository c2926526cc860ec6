package testproc

import (
	"path/filepath"
	"strings"
)

// Member is one server of a cluster on this machine.
type Member struct {
	Process
	Name   string
	Dir    string // its data
	Client string // host:port
	Peer   string // host:port
}

// Members are as many as there are names, with two of the addresses each. Their
// directories and logs will be below dir. It starts nothing.
func Members(dir string, addrs []string, names ...string) []*Member {
	all := make([]*Member, len(names))
	for i, name := range names {
		all[i] = &Member{
			Process: Process{Log: filepath.Join(dir, name+".log")},
			Name:    name, Dir: filepath.Join(dir, name), Client: addrs[2*i], Peer: addrs[2*i+1],
		}
	}
	return all
}

// MusterArgs is the command line of a muster that founds a cluster with all of
// these, in this order; by itself if it is the only one.
func (m *Member) MusterArgs(all []*Member) []string {
	args := []string{"serve", "--name=" + m.Name, "--data-dir=" + m.Dir, "--listen=" + m.Client, "--peer-listen=" + m.Peer}
	if len(all) == 1 {
		return append(args, "--single")
	}
	seeds := make([]string, len(all))
	for i, o := range all {
		seeds[i] = o.Peer
	}
	return append(args, "--seeds="+strings.Join(seeds, ","))
}

// EtcdArgs is that of an etcd. Scheme is http, or https where its clients are to
// speak TLS.
func (m *Member) EtcdArgs(scheme string, all []*Member) []string {
	list := make([]string, len(all))
	for i, o := range all {
		list[i] = o.Name + "=http://" + o.Peer
	}
	client, peer := scheme+"://"+m.Client, "http://"+m.Peer
	return []string{
		"--name=" + m.Name, "--data-dir=" + m.Dir,
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=" + strings.Join(list, ","), "--initial-cluster-state=new",
	}
}
