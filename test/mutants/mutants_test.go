package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEveryMutantApplies: the code that a mutant changes is there as it says,
// and so is what is to kill it. `make mutants` sees to the rest.
func TestEveryMutantApplies(t *testing.T) {
	mutants, err := load("testdata")
	if err != nil {
		t.Fatal(err)
	}
	fast := 0
	for _, m := range mutants {
		if _, err := m.apply("../.."); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		for _, k := range m.killers {
			checkKiller(t, m.name, k)
		}
		if m.fast {
			fast++
		}
	}
	if len(mutants) < 28 || fast < 12 {
		t.Errorf("%d mutants, %d of them fast; want at least 28 and 12", len(mutants), fast)
	}
}

// checkKiller looks for the tests that a killer names.
func checkKiller(t *testing.T, mutant string, k killer) {
	t.Helper()
	at := slices.Index(k.args, "-run")
	if k.layer == "sim" {
		return
	}
	if at < 1 || at+1 >= len(k.args) {
		t.Errorf("%s: killer %v: want a package, and -run with the names of tests", mutant, k.args)
		return
	}
	var source strings.Builder
	files, _ := filepath.Glob(filepath.Join("../..", k.args[0], "*_test.go"))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(b)
	}
	for test := range strings.SplitSeq(k.args[at+1], "|") {
		if !strings.Contains(source.String(), "func "+test+"(") {
			t.Errorf("%s: %s has no test %s", mutant, k.args[0], test)
		}
	}
}

func TestParse(t *testing.T) {
	const head = "bug: a\nseen: b,\n  c\nkill: unit: ./x -run TestX\nkill: sim hangs: 7\n"
	m, err := parse("m", head+"fast: yes\n\nfile: a.go\n<<<\nold\n\tmore\n===\nnew\n>>>\n<<<\nx\n===\n>>>\n\nfile: b.go\n<<<\ny\n===\nz\n>>>\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []edit{{"a.go", "old\n\tmore", "new"}, {"a.go", "x", ""}, {"b.go", "y", "z"}}
	if !m.fast || m.seen != "b, c" || !slices.Equal(m.edits, want) || len(m.killers) != 2 || !m.killers[1].hangs || m.killers[1].args[0] != "7" {
		t.Errorf("parsed as %+v", m)
	}
	for _, bad := range []string{
		"bug: a\n", head, head + "\nfile: a.go\n", head + "\nfile: a.go\n<<<\nold\n>>>\n",
		head + "kill: prayer: x\n\nfile: a.go\n<<<\nx\n===\n>>>\n", head + "what: x\n\nfile: a.go\n<<<\nx\n===\n>>>\n",
	} {
		if m, err := parse("m", bad); err == nil {
			t.Errorf("%q was parsed as %+v", bad, m)
		}
	}
}

func TestApply(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.go"), []byte("one two two"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := mutant{edits: []edit{{"a.go", "one", "1"}, {"a.go", "1 ", "uno "}}}
	if files, err := m.apply(root); err != nil || files["a.go"] != "uno two two" {
		t.Errorf("%q, %v", files, err)
	}
	for _, e := range []edit{{"a.go", "two", ""}, {"a.go", "three", ""}, {"b.go", "one", ""}} {
		m := mutant{edits: []edit{e}}
		if _, err := m.apply(root); err == nil || !strings.Contains(err.Error(), "no longer applies") {
			t.Errorf("%+v: %v", e, err)
		}
	}
}

// Only a test that fails kills: nothing that keeps it from running does.
func TestReadTests(t *testing.T) {
	for name, c := range map[string]struct {
		says string
		want tests
	}{
		"fails":     {`{"Action":"run","Test":"TestA"}` + "\n" + `{"Action":"fail","Test":"TestA"}` + "\n" + `{"Action":"fail","Package":"p"}`, tests{ran: 1, failed: "TestA"}},
		"passes":    {`{"Action":"run","Test":"TestA"}` + "\n" + `{"Action":"pass","Test":"TestA"}` + "\n" + `{"Action":"pass","Package":"p"}`, tests{ran: 1}},
		"panics":    {`{"Action":"run","Test":"TestA"}` + "\n" + `{"Action":"output","Output":"panic: boom\n"}` + "\n" + `{"Action":"fail","Package":"p"}`, tests{ran: 1, failed: "panic: boom"}},
		"leaks":     {`{"Action":"run","Test":"TestA"}` + "\n" + `{"Action":"pass","Test":"TestA"}` + "\n" + `{"Action":"fail","Package":"p"}`, tests{ran: 1, failed: "p"}},
		"no build":  {`{"Action":"build-output","Output":"x.go:1: undefined\n"}` + "\n" + `{"Action":"fail","Package":"p"}`, tests{build: "x.go:1: undefined", failed: "p"}},
		"timed out": {`{"Action":"run","Test":"TestA"}` + "\n" + `{"Action":"output","Output":"panic: test timed out after 4m\n"}` + "\n" + `{"Action":"fail","Test":"TestA"}`, tests{ran: 1, failed: "TestA", timedOut: true}},
		"no tests":  {"testing: warning: no tests to run\n" + `{"Action":"pass","Package":"p"}`, tests{}},
	} {
		if got := readTests([]byte(c.says)); got != c.want {
			t.Errorf("%s: read as %+v, want %+v", name, got, c.want)
		}
	}
}
