package main

import (
	"strings"
	"testing"
)

// FuzzConfigFile: any file is read or refused in words that name it, and what
// is refused says where.
func FuzzConfigFile(f *testing.F) {
	f.Add("name: a\nseeds: [a:1, b:2]\nheartbeat-interval: 200ms\nsingle: true\n")
	f.Add("name: {a: b}\n? [x]: y\n")
	f.Add("a: &x [*x]\n")
	f.Add("--- \n...\n---\n")
	f.Fuzz(func(t *testing.T, file string) {
		if file == "" {
			return // none is given then
		}
		flags, _, err := layered(t, nil, file)
		if err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				if line == "" || !strings.Contains(err.Error(), "muster.yaml") {
					t.Fatalf("%q: %v", file, err)
				}
			}
			return
		}
		if flags.cfg.Node.HeartbeatInterval < 0 && !strings.Contains(file, "-") {
			t.Fatalf("%q became %v", file, flags.cfg.Node.HeartbeatInterval)
		}
	})
}

// FuzzEnvironment: any value of a variable is taken or refused in words that
// name the variable; one that isn't ours changes nothing.
func FuzzEnvironment(f *testing.F) {
	f.Add("MUSTER_SEEDS", "e:1,f:2")
	f.Add("MUSTER_SINGLE", "perhaps")
	f.Add("MUSTER_PEER_LISTN", "x")
	f.Add("HOME", "/")
	f.Fuzz(func(t *testing.T, name, value string) {
		defaults, _, err := layered(t, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		flags, _, err := layered(t, []string{name + "=" + value}, "")
		name, _, _ = strings.Cut(name, "=")
		switch {
		case strings.HasPrefix(name, envPrefix) && err != nil && !strings.Contains(err.Error(), name):
			t.Fatalf("%s=%q: %v", name, value, err)
		case !strings.HasPrefix(name, envPrefix) && (err != nil || flags.cfg.Node.Name != defaults.cfg.Node.Name || flags.cfg.Node.Single != defaults.cfg.Node.Single || len(flags.cfg.Node.Seeds) != 0):
			t.Fatalf("%s=%q: %+v, %v", name, value, flags, err)
		}
	})
}
