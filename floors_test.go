package muster_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/musterhq/muster"

// floor is one line of the table that ARCHITECTURE.md shows to people. A
// package may import those named and nothing else of this module; each of them
// lies on a lower floor, so imports go down only.
type floor struct {
	level int
	pkg   string // below the module; "." is the door
	may   string // packages of ours, separated by blanks
}

var floors = []floor{
	{0, "cluster", ""},
	{0, "statemachine", ""},
	{0, "discovery", ""},
	{0, "internal/backup", ""},
	{0, "internal/certs", ""},
	{0, "internal/history", ""}, // for tests and the simulator
	{0, "internal/loopback", ""},
	{0, "internal/race", ""}, // for tests
	{0, "internal/raftlog", ""},
	{0, "internal/testcert", ""}, // certificates for tests
	{0, "kv/internal/mvcc", ""},

	{1, "discovery/internal/look", ""},
	{1, "discovery/discoverytest", "discovery"}, // for tests, ours and others'
	{1, "event", "cluster"},
	{1, "internal/crashfs", "internal/race"},  // for tests and the simulator
	{1, "internal/testproc", "internal/race"}, // for tests and benchmarks
	{1, "internal/wire", "cluster"},
	{1, "internal/datadir", "cluster"},
	{1, "kv", "statemachine internal/backup kv/internal/mvcc"},

	{2, "discovery/static", "discovery discovery/internal/look"},
	{2, "discovery/file", "discovery discovery/internal/look"},
	{2, "discovery/dns", "discovery discovery/internal/look"},
	{2, "discovery/multicast", "discovery discovery/internal/look"},
	{2, "internal/formation", "cluster event internal/wire"},
	{2, "internal/roster", "cluster event"},
	{2, "internal/snapshot", "cluster internal/wire"},
	{2, "internal/transport", "cluster internal/certs internal/wire"},
	{2, "internal/etcdapi", "cluster event statemachine kv"},
	{1, "internal/lockapi", ""},
	{2, "internal/lessor", "cluster statemachine kv"},

	{3, "discovery/spec", "discovery discovery/internal/look discovery/dns discovery/file discovery/multicast"},
	{3, "internal/replica", "cluster event internal/wire internal/formation internal/roster"},

	{4, "internal/member", "cluster event statemachine internal/wire internal/raftlog internal/snapshot internal/formation internal/roster internal/replica"},

	{5, "internal/host", "cluster discovery event statemachine internal/wire internal/raftlog internal/snapshot internal/transport internal/replica internal/member"},

	{5, "internal/recovery", "cluster internal/wire internal/datadir internal/raftlog internal/snapshot internal/formation internal/replica internal/member"},

	{6, "internal/sim", "cluster event statemachine kv internal/lessor internal/crashfs internal/history internal/wire internal/datadir internal/raftlog internal/snapshot internal/formation internal/roster internal/replica internal/member internal/recovery"},

	{6, ".", "cluster discovery event statemachine internal/wire internal/datadir internal/raftlog internal/snapshot internal/transport internal/formation internal/roster internal/member internal/host internal/recovery"},

	{7, "server", ". cluster event statemachine internal/backup internal/certs kv internal/etcdapi internal/lessor internal/lockapi"},
	{7, "mustertest", ". cluster event statemachine internal/transport"},

	{8, "cmd/muster", ". cluster discovery discovery/spec event server internal/loopback"},
	{7, "cmd/mustersim", "internal/sim"},
	{8, "examples/counter", ". statemachine"},
	{8, "test/process", ""}, // tests alone, over the built command
	{8, "test/forks", "event internal/loopback internal/testproc"},
	{8, "test/mutants", ""}, // over the go command
}

// TestFloors: no import goes up or sideways, no package lies outside the table.
func TestFloors(t *testing.T) {
	byPkg := map[string]floor{}
	for _, f := range floors {
		byPkg[f.pkg] = f
	}
	for _, f := range floors {
		for _, to := range strings.Fields(f.may) {
			if below, ok := byPkg[to]; !ok || below.level >= f.level {
				t.Errorf("the table lets %s import %s, which is not on a lower floor", f.pkg, to)
			}
		}
	}
	tree := parseTree(t)
	for _, p := range tree {
		f, ok := byPkg[p.path]
		if !ok {
			t.Errorf("package %s is not in the table: give it a floor here and a line in ARCHITECTURE.md", p.path)
			continue
		}
		delete(byPkg, p.path)
		for _, i := range p.imports {
			if to, ours := ofModule(i.path); ours && !slices.Contains(strings.Fields(f.may), to) {
				t.Errorf("%s: %s may not import %s", i.at, p.path, to)
			}
		}
	}
	for name := range byPkg {
		t.Errorf("the table has %s, the tree doesn't: take it out here and in ARCHITECTURE.md", name)
	}
}

// TestClientStaysInTests: etcd's client is what we are tested with, and whoever
// embeds muster doesn't get it. Only the server's Lock and Election are clients
// of their member.
func TestClientStaysInTests(t *testing.T) {
	for _, p := range parseTree(t) {
		if p.path == "internal/lockapi" {
			continue
		}
		for _, i := range p.imports {
			if strings.HasPrefix(i.path, "go.etcd.io/etcd/client/") {
				t.Errorf("%s: %s imports %s outside a test", i.at, p.path, i.path)
			}
		}
	}
}

var negation = regexp.MustCompile(`\b(no|not|never|none|nothing|nobody|neither|nor|only|without|alone)\b|n't\b`)

// TestPackageDocs: each package says what it is, and what it is not.
func TestPackageDocs(t *testing.T) {
	for _, p := range parseTree(t) {
		lines := strings.Count(strings.TrimSpace(p.doc), "\n") + 1
		switch {
		case p.doc == "":
			t.Errorf("package %s has no package comment", p.path)
		case lines < 3:
			t.Errorf("package %s: a comment of %d lines: say what it is, what it is not, and who may call it", p.path, lines)
		case !negation.MatchString(strings.ToLower(p.doc)):
			t.Errorf("package %s: the comment doesn't say what it is not", p.path)
		}
	}
}

// pkg is one package of the module without its tests.
type pkg struct {
	path    string // below the module, slashes; "." is the root
	doc     string
	files   []*ast.File
	imports []imported
	fset    *token.FileSet
}

type imported struct {
	path string
	at   token.Position
}

// parseTree reads every package of this module, sorted by path. Modules of
// their own (bench, tools) and testdata don't belong to it.
func parseTree(t *testing.T) []*pkg {
	t.Helper()
	var tree []*pkg
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if base := d.Name(); name != "." && (base == "testdata" || base == "bin" || strings.HasPrefix(base, ".") || isModule(name)) {
			return fs.SkipDir
		}
		p, err := parsePackage(name)
		if p != nil {
			tree = append(tree, p)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(tree) < 5 {
		t.Fatalf("found only %d packages: is the test run at the root of the module?", len(tree))
	}
	return tree
}

func isModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// parsePackage is nil for a directory without Go files that aren't tests.
func parsePackage(dir string) (*pkg, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	p := &pkg{path: filepath.ToSlash(dir), fset: token.NewFileSet()}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(p.fset, name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		if err := p.add(f); err != nil {
			return nil, err
		}
	}
	if len(p.files) == 0 {
		return nil, nil
	}
	return p, nil
}

func (p *pkg) add(f *ast.File) error {
	p.files = append(p.files, f)
	if f.Doc != nil {
		p.doc += f.Doc.Text()
	}
	for _, i := range f.Imports {
		to, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return err
		}
		p.imports = append(p.imports, imported{path: to, at: p.fset.Position(i.Pos())})
	}
	return nil
}

// ofModule is the path below this module: "." for the door.
func ofModule(importPath string) (string, bool) {
	if importPath == modulePath {
		return ".", true
	}
	below, ok := strings.CutPrefix(importPath, modulePath+"/")
	return path.Clean(below), ok
}
