package ctl

import (
	"testing"
	"time"

	"github.com/musterhq/muster/internal/testcert"
	"github.com/musterhq/muster/test/etcd/internal/system"
)

// tlsScript is for servers that want a certificate, and know the user of it.
var tlsScript = []string{
	"put a 1 --cacert={ca} --cert={root.cert} --key={root.key}",
	"get a --cacert={ca} --cert={u.cert} --key={u.key}",
	"get a --insecure-skip-tls-verify --insecure-transport=false --cert={u.cert} --key={u.key}",
	"member list --cacert={ca} --cert={u.cert} --key={u.key}",
	"user add root:pw --cacert={ca} --cert={u.cert} --key={u.key}",
	"user add u:pw --cacert={ca} --cert={u.cert} --key={u.key}",
	"role add r --cacert={ca} --cert={u.cert} --key={u.key}",
	"role grant-permission r read a --cacert={ca} --cert={u.cert} --key={u.key}",
	"user grant-role root root --cacert={ca} --cert={u.cert} --key={u.key}",
	"user grant-role u r --cacert={ca} --cert={u.cert} --key={u.key}",
	"auth enable --cacert={ca} --cert={root.cert} --key={root.key}",
	"get a --cacert={ca} --cert={u.cert} --key={u.key}",
	"put a 2 --cacert={ca} --cert={u.cert} --key={u.key}",
	"put a 3 --cacert={ca} --cert={u.cert} --key={u.key} --user root:pw",
	"get a --cacert={ca} --cert={nobody.cert} --key={nobody.key}",
	"put a 4 --cacert={ca} --cert={root.cert} --key={root.key}",
	"get a --cacert={ca} --cert={root.cert} --key={root.key} --user u:wrong",
	"auth disable --cacert={ca} --cert={root.cert} --key={root.key}",
}

// TestTLS compares what etcdctl prints of servers that speak TLS.
func TestTLS(t *testing.T) {
	ctl, err := system.Build("etcdctl", "test/etcd/tools", "go.etcd.io/etcd/etcdctl/v3")
	if err != nil {
		t.Fatal(err)
	}
	ca := testcert.New(t, "ca")
	server := ca.Issue("root", -time.Hour, time.Hour)
	var subjects []*subject
	for _, kind := range system.Kinds() {
		s := newSubject(t, ctl, kind.TLS(system.Files{CA: ca.File, Cert: server.Cert, Key: server.Key}))
		s.scheme = "https://"
		s.named["{ca}"] = ca.File
		subjects = append(subjects, s)
	}
	for _, name := range []string{"root", "u", "nobody"} {
		pair := ca.Issue(name, -time.Hour, time.Hour)
		for _, s := range subjects {
			s.named["{"+name+".cert}"], s.named["{"+name+".key}"] = pair.Cert, pair.Key
		}
	}
	play(t, subjects, tlsScript)
}
