package main

import (
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// The help of serve shows each flag once, under what it is about.
func TestServeHelpIsInGroups(t *testing.T) {
	code, out, _ := runMuster(nil, "serve", "--help")
	if code != exitOK {
		t.Fatalf("exit %d", code)
	}
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(serveFlags).register(set)
	set.VisitAll(func(f *pflag.Flag) {
		if n := strings.Count(out, "\n      --"+f.Name+" "); n != 1 {
			t.Errorf("--%s is shown %d times", f.Name, n)
		}
	})
	last := 0
	for _, g := range new(serveFlags).groups() {
		i := strings.Index(out, "\n"+g.title+":\n")
		if i <= last {
			t.Errorf("%q is at %d, after %d", g.title, i, last)
		}
		last = i
	}
	for line := range strings.Lines(out) {
		if len(line) > usageWidth+20 { // a word is not divided
			t.Errorf("%d characters: %s", len(line), line)
		}
	}
}
