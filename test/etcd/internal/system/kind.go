// Package system starts what the tests of this module talk to: clusters of
// real processes, of muster built from the sources around this module, and of
// etcd built from its Go module.
//
// It is for tests on one machine. Every process listens on loopback, keeps its
// data below the test's temporary directory, and is gone when the test is.
package system

import "slices"

// Kind is a kind of server.
type Kind struct {
	Name   string
	module string // directory of the module to build it in, from the repository's root
	pkg    string // its main package
	args   func(self *Member) []string
	tls    *Files
	flags  []string // behind all others
}

// Files are the PEM files by which a server's client port speaks TLS, to
// clients that show a certificate of the same authority. A client may use the
// server's pair.
type Files struct{ CA, Cert, Key string }

// TLS is the kind with TLS on its client port.
func (k Kind) TLS(f Files) Kind {
	k.tls = &f
	return k
}

// With is the kind with more flags.
func (k Kind) With(flags ...string) Kind {
	k.flags = append(slices.Clone(k.flags), flags...)
	return k
}

// Build builds its program and returns the path.
func (k Kind) Build() (string, error) { return Build(k.Name, k.module, k.pkg) }

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
func etcdArgs(m *Member) []string {
	scheme, secure := "http", []string(nil)
	if f := m.kind.tls; f != nil {
		scheme = "https"
		secure = []string{"--cert-file=" + f.Cert, "--key-file=" + f.Key, "--trusted-ca-file=" + f.CA, "--client-cert-auth"}
	}
	return slices.Concat(m.EtcdArgs(scheme, m.all), []string{"--unsafe-no-fsync", "--bcrypt-cost=4", "--log-level=error"}, secure)
}

func musterArgs(m *Member) []string {
	args := m.MusterArgs(m.all)
	if f := m.kind.tls; f != nil {
		args = append(args, "--tls-cert="+f.Cert, "--tls-key="+f.Key, "--tls-ca="+f.CA, "--tls-client-auth")
	}
	return args
}
