package muster_test

import (
	"go/ast"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var whyRow = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (.*) \\| (.*) \\|$")

// TestReasonCodes: each code of a reason in the tree has a line in docs/why.md
// with a meaning and a way out, and each line a code.
func TestReasonCodes(t *testing.T) {
	page, err := os.ReadFile("docs/why.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, m := range whyRow.FindAllStringSubmatch(string(page), -1) {
		if documented[m[1]] {
			t.Errorf("docs/why.md has %s twice", m[1])
		}
		documented[m[1]] = true
		if len(m[2]) < 10 || len(m[3]) < 5 {
			t.Errorf("docs/why.md says too little of %s", m[1])
		}
	}
	used := reasonCodes(t)
	if len(used) < 50 {
		t.Fatalf("found only %d codes: has the code changed its ways?", len(used))
	}
	for _, code := range slices.Sorted(maps.Keys(used)) {
		if !documented[code] {
			t.Errorf("%s: the reason %q has no line in docs/why.md", used[code], code)
		}
		delete(documented, code)
	}
	for _, code := range slices.Sorted(maps.Keys(documented)) {
		t.Errorf("docs/why.md has %q, which no code gives", code)
	}
}

// reasonCodes lists the codes of event.Reason in the tree, each with a place.
// Package roster names them code..., formation why..., or they are written
// where a Reason is made.
func reasonCodes(t *testing.T) map[string]token.Position {
	codes := map[string]token.Position{}
	for _, p := range parseTree(t) {
		names := map[string]string{"internal/roster": "code", "internal/formation": "why"}[p.path]
		consts := stringConsts(p)
		for _, f := range p.files {
			ast.Inspect(f, func(n ast.Node) bool {
				note := func(e ast.Expr) {
					if code, ok := constant(e, consts); ok && code != "" {
						codes[code] = p.fset.Position(e.Pos())
					}
				}
				switch n := n.(type) {
				case *ast.ValueSpec:
					for i, id := range n.Names {
						if names != "" && strings.HasPrefix(id.Name, names) && id.Name != names && i < len(n.Values) {
							note(n.Values[i])
						}
					}
				case *ast.CompositeLit:
					for _, lit := range reasonsIn(n) {
						note(field(lit, "Code"))
						if code := field(lit, "Code"); code != nil && field(lit, "WayOut") == nil && isLiteral(code) {
							t.Errorf("%s: a reason without a way out", p.fset.Position(lit.Pos()))
						}
					}
				case *ast.AssignStmt:
					if p.path == "internal/host" || p.path == "." {
						for i, l := range n.Lhs {
							if s, ok := l.(*ast.SelectorExpr); ok && s.Sel.Name == "Code" && i < len(n.Rhs) {
								note(n.Rhs[i])
							}
						}
					}
				}
				return true
			})
		}
	}
	return codes
}

// reasonsIn are the Reasons that a literal is, or lists.
func reasonsIn(lit *ast.CompositeLit) (out []*ast.CompositeLit) {
	if isReason(lit.Type) {
		return []*ast.CompositeLit{lit}
	}
	if a, ok := lit.Type.(*ast.ArrayType); ok && isReason(a.Elt) {
		for _, e := range lit.Elts {
			if c, ok := e.(*ast.CompositeLit); ok && c.Type == nil {
				out = append(out, c)
			}
		}
	}
	return out
}

func isReason(e ast.Expr) bool {
	s, ok := e.(*ast.SelectorExpr)
	return ok && s.Sel.Name == "Reason"
}

func field(lit *ast.CompositeLit, name string) ast.Expr {
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if id, ok := kv.Key.(*ast.Ident); ok && id.Name == name {
				return kv.Value
			}
		}
	}
	return nil
}

func isLiteral(e ast.Expr) bool {
	_, ok := e.(*ast.BasicLit)
	return ok
}

func constant(e ast.Expr, consts map[string]ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.Ident:
		if v, ok := consts[e.Name]; ok {
			return constant(v, nil)
		}
	}
	return "", false
}

func stringConsts(p *pkg) map[string]ast.Expr {
	out := map[string]ast.Expr{}
	for _, f := range p.files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				for i, id := range v.Names {
					if i < len(v.Values) {
						out[id.Name] = v.Values[i]
					}
				}
			}
		}
	}
	return out
}
