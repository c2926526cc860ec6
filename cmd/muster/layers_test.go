package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// layered fills the flags in from all sources.
func layered(t *testing.T, env []string, file string, args ...string) (*serveFlags, []string, error) {
	t.Helper()
	f := &serveFlags{}
	set := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	f.register(set)
	if file != "" {
		path := filepath.Join(t.TempDir(), "muster.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	warnings, err := layer(set, env)
	return f, warnings, err
}

func TestFlagOverEnvironmentOverFileOverDefault(t *testing.T) {
	env := []string{"MUSTER_NAME=env", "MUSTER_ZONE=env", "MUSTER_SEEDS=e:1,f:2", "HOME=/", "MUSTER_ELECTION_TIMEOUT=3s", "MUSTER_CLUSTER="}
	file := "name: file\nzone: file\nlisten: file:1\nseeds: [a:1, b:2]\nheartbeat-interval: 200ms\nsingle: true\ncluster: file\n"
	f, warnings, err := layered(t, env, file, "--name", "flag")
	if err != nil || len(warnings) != 0 {
		t.Fatalf("%v, %v", err, warnings)
	}
	if f.cfg.Node.Name != "flag" || f.cfg.Node.Zone != "env" || f.cfg.Listen != "file:1" || f.cfg.Node.PeerListen != "127.0.0.1:2380" || f.cfg.Node.Cluster != "file" ||
		!slices.Equal(f.cfg.Node.Seeds, []string{"e:1", "f:2"}) || f.cfg.Node.HeartbeatInterval != 200*time.Millisecond || f.cfg.Node.ElectionTimeout != 3*time.Second || !f.cfg.Node.Single {
		t.Errorf("%+v", f)
	}
	f, _, err = layered(t, nil, "seeds:\n  - a:1\n  - b:2\n")
	if err != nil || !slices.Equal(f.cfg.Node.Seeds, []string{"a:1", "b:2"}) {
		t.Errorf("seeds as a list: %v, %v", f.cfg.Node.Seeds, err)
	}
	f, _, err = layered(t, nil, "seeds: [a:1]\n", "--seeds", "x:1", "--seeds", "y:2")
	if err != nil || !slices.Equal(f.cfg.Node.Seeds, []string{"x:1", "y:2"}) {
		t.Errorf("seeds by flags: %v, %v", f.cfg.Node.Seeds, err)
	}
}

func TestConfigFileFaultsAreNamed(t *testing.T) {
	for _, tt := range []struct{ file, says string }{
		{"name: a\nelecton-timeout: 1s\n", `:2: unknown key "electon-timeout"; did you mean "election-timeout"?`},
		{"colour: red\n", `:1: unknown key "colour"; the keys are the flags`},
		{"config: x\n", `unknown key "config"`},
		{"single: perhaps\n", `:1: single: `},
		{"election-timeout: soon\n", `election-timeout: `},
		{"name: a\nname: b\n", `:2: key "name" is given twice`},
		{"name: {a: b}\n", `name: want a value or a list`},
		{"- a\n", "want lines of `flag: value`"},
		{"name: [\n", "yaml"},
	} {
		_, _, err := layered(t, nil, tt.file)
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), "muster.yaml") {
			t.Errorf("%q: %v, want %q", tt.file, err, tt.says)
		}
	}
	if _, _, err := layered(t, nil, "# nothing\n"); err != nil {
		t.Errorf("empty file: %v", err)
	}
	_, _, err := layered(t, nil, "a: 1\nb: 2\n")
	if n := len(strings.Split(err.Error(), "\n")); n != 2 {
		t.Errorf("%d faults told, want both: %v", n, err)
	}
}

func TestEnvironmentFaultsAreNamed(t *testing.T) {
	_, _, err := layered(t, []string{"MUSTER_SINGLE=perhaps"}, "")
	if err == nil || !strings.Contains(err.Error(), `MUSTER_SINGLE="perhaps"`) {
		t.Errorf("%v", err)
	}
	_, warnings, err := layered(t, []string{"MUSTER_PEER_LISTN=x", "MUSTER_PORT_2379_TCP=tcp://1.2.3.4", "MUSTER_PORT=x", "MUSTER_ENDPOINT=a:1"}, "")
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "did you mean MUSTER_PEER_LISTEN?") {
		t.Errorf("%v, %q", err, warnings)
	}
}
