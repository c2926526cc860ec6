package muster_test

import (
	"go/ast"
	"go/importer"
	"go/types"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// pure are the packages of the brain: inputs in, effects out. The same inputs
// give the same effects, on any machine, at any time, in the simulator too.
var pure = []string{"internal/formation", "internal/replica", "internal/roster"}

// impure is what a brain may not import, with everything below it.
var impure = []string{
	"crypto/rand", "math/rand", // chance
	"context", "sync", "runtime", // other goroutines
	"os", "io/fs", "net", "syscall", "unsafe", "log", // the world outside
	"go.uber.org", "google.golang.org/grpc", "github.com/cockroachdb/pebble",
}

// timeWords is what a brain may use of package time: lengths, not moments.
var timeWords = []string{"Duration", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour"}

// orderFree marks a line that goes over a map where the order can't matter.
const orderFree = "// order-free: "

// TestPureBrain: no clock, chance, disk, socket, goroutine, channel or map
// order in the packages that decide.
func TestPureBrain(t *testing.T) {
	tree := parseTree(t)
	packages := make([]string, len(pure))
	for i, p := range pure {
		packages[i] = "./" + p
	}
	exports := exportData(t, packages...)
	for _, name := range pure {
		i := slices.IndexFunc(tree, func(p *pkg) bool { return p.path == name })
		if i < 0 {
			t.Errorf("package %s is gone: change this test with it", name)
			continue
		}
		for _, fault := range impurities(t, tree[i], exports) {
			t.Error(fault)
		}
	}
}

// impurities lists the faults of one package, each with its place.
func impurities(t *testing.T, p *pkg, exports map[string]string) []string {
	t.Helper()
	var faults []string
	for _, i := range p.imports {
		for _, bad := range impure {
			if i.path == bad || strings.HasPrefix(i.path, bad+"/") {
				faults = append(faults, i.at.String()+": the brain may not import "+i.path)
			}
		}
	}
	info := check(t, p, exports)
	for _, f := range p.files {
		v := visitor{pkg: p, info: info, marked: markedLines(p, f)}
		ast.Inspect(f, v.visit)
		faults = append(faults, v.faults...)
	}
	return faults
}

type visitor struct {
	pkg    *pkg
	info   *types.Info
	marked map[int]bool // lines that carry the mark
	faults []string
}

func (v *visitor) fault(n ast.Node, text string) {
	v.faults = append(v.faults, v.pkg.fset.Position(n.Pos()).String()+": "+text)
}

func (v *visitor) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		v.fault(n, "the brain starts no goroutine")
	case *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
		v.fault(n, "the brain knows no channel")
	case *ast.RangeStmt:
		if t := v.info.TypeOf(n.X); t != nil {
			v.rangeOver(n, t)
		}
	case *ast.SelectorExpr:
		v.selector(n)
	}
	return true
}

func (v *visitor) rangeOver(n *ast.RangeStmt, over types.Type) {
	switch over.Underlying().(type) {
	case *types.Map:
		if !v.marked[v.pkg.fset.Position(n.Pos()).Line] {
			v.fault(n, "goes over a map in no order: sort the keys, or say why it can't matter in \""+orderFree+"…\" on the line")
		}
	case *types.Chan:
		v.fault(n, "the brain knows no channel")
	}
}

// selector looks at uses of packages time and maps.
func (v *visitor) selector(n *ast.SelectorExpr) {
	id, ok := n.X.(*ast.Ident)
	if !ok {
		return
	}
	of, ok := v.info.Uses[id].(*types.PkgName)
	if !ok {
		return
	}
	switch of.Imported().Path() {
	case "time":
		if !slices.Contains(timeWords, n.Sel.Name) {
			v.fault(n, "the brain has no clock: time."+n.Sel.Name+"; time comes in as ticks")
		}
	case "maps":
		inNoOrder := []string{"All", "Keys", "Values"}
		if slices.Contains(inNoOrder, n.Sel.Name) && !v.marked[v.pkg.fset.Position(n.Pos()).Line] {
			v.fault(n, "maps."+n.Sel.Name+" comes in no order: sort it and say so in \""+orderFree+"…\" on the line")
		}
	}
}

// markedLines are those with the mark and a reason behind it.
func markedLines(p *pkg, f *ast.File) map[int]bool {
	marked := map[int]bool{}
	for _, g := range f.Comments {
		for _, c := range g.List {
			if why, ok := strings.CutPrefix(c.Text, orderFree); ok && strings.TrimSpace(why) != "" {
				marked[p.fset.Position(c.Pos()).Line] = true
			}
		}
	}
	return marked
}

// check finds the types of the package's expressions.
func check(t *testing.T, p *pkg, exports map[string]string) *types.Info {
	t.Helper()
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	open := func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) }
	cfg := types.Config{Importer: importer.ForCompiler(p.fset, "gc", open)}
	if _, err := cfg.Check(modulePath+"/"+p.path, p.fset, p.files, info); err != nil {
		t.Fatalf("check types of %s: %v", p.path, err)
	}
	return info
}

// exportData maps each of the packages, and each that they are built from, to
// the file in which the compiler described it.
func exportData(t *testing.T, packages ...string) map[string]string {
	t.Helper()
	args := append([]string{"list", "-deps", "-export", "-f", "{{.ImportPath}} {{.Export}}"}, packages...)
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if name, file, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			files[name] = file
		}
	}
	return files
}

// TestPureBrainSeesFaults plants each fault once.
func TestPureBrainSeesFaults(t *testing.T) {
	exports := exportData(t, "time", "os/exec", "maps")
	for src, want := range map[string]string{
		`import "time"; var _ = time.Now`:                                          "no clock",
		`import "time"; const _ = time.Second`:                                     "",
		`import "os/exec"; var _ exec.Cmd`:                                         "may not import os/exec",
		`func f() { go f() }`:                                                      "no goroutine",
		`var _ chan int`:                                                           "no channel",
		`type m map[int]int; func f(x m) { for range x {} }`:                       "in no order",
		"func f(x map[int]int) {\nfor range x { // order-free: it only counts\n}}": "",
		"func f(x map[int]int) {\nfor range x { // order-free: \n}}":               "in no order",
		`import "maps"; func f(x map[int]int) { _ = maps.Keys(x) }`:                "maps.Keys",
		`func f(x []int) { for range x {} }`:                                       "",
	} {
		p := parseSource(t, "package planted\n"+src)
		faults := strings.Join(impurities(t, p, exports), "; ")
		if want == "" && faults != "" || !strings.Contains(faults, want) {
			t.Errorf("%s\nfaults %q, want %q", src, faults, want)
		}
	}
}

func parseSource(t *testing.T, src string) *pkg {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/planted.go", []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := parsePackage(dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
