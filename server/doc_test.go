package server

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The package's documentation lists what is served under /v1/, and how it is asked.
func TestRoutesAreDocumented(t *testing.T) {
	code, err := os.ReadFile("http.go")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	routes := regexp.MustCompile(`"(GET|POST) (/v1/[^"]+)"`).FindAllStringSubmatch(string(code), -1)
	if len(routes) < 11 {
		t.Fatalf("only %d routes were found", len(routes))
	}
	for _, r := range routes {
		if line := regexp.MustCompile(`(?m)^//\t` + r[1] + ` +` + regexp.QuoteMeta(r[2]) + `[ ?]`); !line.Match(doc) {
			t.Errorf("doc.go doesn't list %s", strings.Join(r[1:], " "))
		}
	}
}
