package muster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pages are the documents that this test keeps true.
func pages(t *testing.T) map[string]string {
	t.Helper()
	pages := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "bench/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			pages[name] = string(b)
		}
	}
	for _, must := range []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md"} {
		if pages[must] == "" {
			t.Fatalf("%s is missing", must)
		}
	}
	return pages
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)`)

// TestLinks: what a page points at in this repository is there.
func TestLinks(t *testing.T) {
	for name, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s points at %s, which is not there", name, m[1])
			}
		}
	}
}

// TestTargets: each `make` target that a page names exists, and each has a line in `make help`.
func TestTargets(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	var helped []string
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):.*## \S`).FindAllStringSubmatch(string(makefile), -1) {
		helped = append(helped, m[1])
	}
	for _, m := range regexp.MustCompile(`(?m)^\.PHONY: (\S+)$`).FindAllStringSubmatch(string(makefile), -1) {
		if !slices.Contains(helped, m[1]) {
			t.Errorf("make help doesn't tell of %s", m[1])
		}
	}
	for name, text := range pages(t) {
		for _, m := range regexp.MustCompile("(?m)(?:`|^)make ([a-z-]+)").FindAllStringSubmatch(text, -1) {
			if !slices.Contains(helped, m[1]) {
				t.Errorf("%s names `make %s`, which is no target", name, m[1])
			}
		}
	}
}

// TestArchitectureHasTheFloors: people read the table that TestFloors holds.
func TestArchitectureHasTheFloors(t *testing.T) {
	page := pages(t)["ARCHITECTURE.md"]
	for _, f := range floors {
		name := f.pkg
		if name == "." {
			name = "muster"
		}
		if line := fmt.Sprintf("| %d | `%s` |", f.level, name); !strings.Contains(page, line) {
			t.Errorf("ARCHITECTURE.md has no line %q", line)
		}
	}
	lines := len(regexp.MustCompile("(?m)^\\| \\d+ \\| `").FindAllString(page, -1))
	if lines != len(floors) {
		t.Errorf("ARCHITECTURE.md has %d packages, the table %d", lines, len(floors))
	}
}
