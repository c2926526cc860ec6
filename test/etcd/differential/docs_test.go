package differential

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/musterhq/muster/test/etcd/internal/system"
)

// TestDifferencesAreDocumented holds the list of what may differ and the one
// that users read together, both ways.
func TestDifferencesAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(system.Root(), "docs/etcd-compatibility.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Differences\n")
	section, _, _ = strings.Cut(section, "\n## ")
	documented := map[string]bool{}
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "- ") {
			documented[strings.TrimSpace(line)] = true
		}
	}
	for _, d := range Differences {
		line := "- **" + d.Name + ".** " + d.Reason
		if !documented[line] {
			t.Errorf("docs/etcd-compatibility.md, section Differences, lacks the line\n%s", line)
		}
		delete(documented, line)
	}
	for line := range documented {
		t.Errorf("differences.go doesn't know what docs/etcd-compatibility.md lists: %s", line)
	}
}
