package muster_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPagesNameTests: each test, transcript and mutant that a page of docs/
// names as what holds a claim is there.
func TestPagesNameTests(t *testing.T) {
	tests := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(b, -1) {
			tests[string(m[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for page, text := range pages(t) {
		if filepath.Dir(page) != "docs" {
			continue
		}
		for _, m := range regexp.MustCompile("`(Test[A-Z]\\w+|[a-z_-]+\\.(?:txt|mutant))`").FindAllStringSubmatch(text, -1) {
			named++
			if name := m[1]; !tests[name] && !exists("test/mutants/testdata/"+name) && !exists("internal/formation/testdata/"+name) && !exists("internal/roster/testdata/"+name) {
				t.Errorf("%s names %s, which is not there", page, name)
			}
		}
	}
	if named < 100 {
		t.Errorf("only %d tests are named", named)
	}
}

func exists(path string) bool {
	_, err := os.Stat(filepath.FromSlash(path))
	return err == nil
}

// TestFormationPageHasTheCodes: the table of docs/formation.md is that of the
// code, and it names all codes with which a founder says no.
func TestFormationPageHasTheCodes(t *testing.T) {
	page := pages(t)["docs/formation.md"]
	answers := constants(t, "internal/formation/acceptor.go")
	var want, listed []string
	for name, code := range constants(t, "internal/formation/founders.go") {
		if code == "" {
			t.Fatalf("%s has no code", name)
		}
		want = append(want, code)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ").FindAllStringSubmatch(page, -1) {
		listed = append(listed, m[1])
	}
	slices.Sort(want)
	slices.Sort(listed)
	if !slices.Equal(want, listed) {
		t.Errorf("the code has the codes\n%v\nthe page\n%v", want, listed)
	}
	for _, code := range answers {
		if code != "not_accepted" && !strings.Contains(page, "`"+code+"`") {
			t.Errorf("the page doesn't tell of the answer %s", code)
		}
	}
}

// constants are the string constants of a file of package formation by name.
func constants(t *testing.T, file string) map[string]string {
	t.Helper()
	out := map[string]string{}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\t((?:why|code)\w+)\s+= (?:"(\w+)"|code(\w+))(?:\s+//.*)?$`).FindAllStringSubmatch(string(b), -1) {
		code := m[2]
		if alias := m[3]; alias != "" {
			code = constants(t, "internal/formation/acceptor.go")["code"+alias]
		}
		out[m[1]] = code
	}
	if len(out) < 10 {
		t.Fatalf("%s has only %d codes", file, len(out))
	}
	return out
}
