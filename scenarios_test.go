package muster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestScenarios: each scenario in the table of docs/robustness.md has the tests
// that the table says it has, and each has one at least.
func TestScenarios(t *testing.T) {
	doc, err := os.ReadFile("docs/robustness.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| (\\d+) \\| `(\\w+)`: [^|]+\\|(.*)\\|$")
	pkg := regexp.MustCompile("`(\\w+)`")
	tests := map[string]string{} // sources of a package's tests
	rows := row.FindAllStringSubmatch(string(doc), -1)
	for i, r := range rows {
		number, name, layers := r[1], r[2], pkg.FindAllStringSubmatch(r[3], -1)
		if number != fmt.Sprint(i+1) {
			t.Errorf("scenario %s (%s) is the %dth", number, name, i+1)
		}
		if len(layers) == 0 {
			t.Errorf("scenario %s (%s) has no test", number, name)
		}
		for _, l := range layers {
			if _, read := tests[l[1]]; !read {
				tests[l[1]] = testsOf(t, l[1])
			}
			if !strings.Contains(tests[l[1]], "\nfunc Test"+name+"(t *testing.T)") {
				t.Errorf("scenario %s: package %s has no Test%s", number, l[1], name)
			}
		}
	}
	if len(rows) < 47 {
		t.Errorf("the table has %d scenarios", len(rows))
	}
}

// testsOf is the text of a package's tests.
func testsOf(t *testing.T, pkg string) string {
	t.Helper()
	dir := map[string]string{"muster": ".", "process": "test/process"}[pkg]
	if dir == "" {
		dir = "internal/" + pkg
	}
	files, err := filepath.Glob(dir + "/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("package %s has no tests: %v", pkg, err)
	}
	var b strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
	}
	return b.String()
}
