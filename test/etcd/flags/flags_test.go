// Package flags holds the flags that muster takes from those who started etcd to
// the help of etcd itself.
package flags

import (
	"os/exec"
	"regexp"
	"testing"

	"github.com/musterhq/muster/test/etcd/internal/system"
)

// flagOf are the flags in a help, at the beginning of lines, with what follows.
var flagOf = regexp.MustCompile(`(?m)^ *--([a-z0-9-]+)(.*)$`)

func help(t *testing.T, program string, args ...string) map[string]string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	flags := map[string]string{}
	for _, m := range flagOf.FindAllStringSubmatch(string(out), -1) {
		flags[m[1]] = m[2]
	}
	return flags
}

// Every flag in the help of etcd is one that muster knows, and needs no value where
// etcd's doesn't.
func TestEveryFlagOfEtcd(t *testing.T) {
	etcd, err := system.Etcd.Build()
	if err != nil {
		t.Fatal(err)
	}
	muster, err := system.Muster.Build()
	if err != nil {
		t.Fatal(err)
	}
	theirs, ours := help(t, etcd, "--help"), help(t, muster, "serve", "--etcd-flags", "--help")
	if len(theirs) < 100 {
		t.Fatalf("etcd's help names %d flags: it isn't read as it should be", len(theirs))
	}
	for name, says := range theirs {
		if _, known := ours[name]; !known && name != "config-file" && name != "version" && name != "help" {
			t.Errorf("--%s is etcd's and not known to muster", name)
			continue
		}
		if says != " 'true'" && says != " 'false'" {
			continue
		}
		// Were a value wanted, it would be --help, and what is left no flag.
		if out, err := exec.Command(muster, "serve", "--etcd-flags", "--"+name, "--help", "x").CombinedOutput(); err != nil {
			t.Errorf("--%s alone: %v\n%s", name, err, out)
		}
	}
}
