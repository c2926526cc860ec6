package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/mustertest"
	"github.com/musterhq/muster/server"
)

// The files in testdata/why are what operators read: for each thing that a node
// may wait for, what `muster why` shows, in words and as JSON. Each comes from
// real nodes on a network in memory. `go test ./cmd/muster -run
// 'Test.*Screens|TestWhyFiles' -rewrite` writes them anew; read the difference.

var rewrite = flag.Bool("rewrite", false, "write the files in testdata/why anew")

const goldenDir = "testdata/why"

// whyCase is one screen. tell brings nodes into the state and returns what the
// one that is asked answers; it says so once the state is there, so that no
// screen depends on luck.
type whyCase struct {
	name  string // of the file
	about string // one line
	tell  func(t *testing.T) server.WhyAnswer
}

// TestWhyScreens compares each screen with its file.
func TestWhyScreens(t *testing.T) {
	for _, x := range whyCases {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				answer := x.tell(t)
				for _, r := range allReasons(answer) {
					if r.WayOut == "" {
						t.Errorf("%s has no way out: %s", r.Code, r.Text)
					}
				}
				compare(t, filepath.Join(goldenDir, x.name+".txt"), x.about, whyScreen(t, answer))
			})
		})
	}
}

// TestWhyFiles: each file has a case and a line in the index, and the other way round.
func TestWhyFiles(t *testing.T) {
	var index strings.Builder
	index.WriteString("# What `muster why` shows\n\nOne file for each thing that a node may wait for: the screen, and what `--output json` adds to it.\nWritten by `go test ./cmd/muster -run 'Test.*Screens|TestWhyFiles' -rewrite`; times, sizes and identities are left out.\n\n")
	want := []string{"README.md"}
	list := func(name, about string) {
		want = append(want, name+".txt")
		fmt.Fprintf(&index, "- [%s](%s.txt): %s\n", name, name, about)
	}
	for _, x := range whyCases {
		list(x.name, x.about)
	}
	index.WriteString("\n## Other commands\n\n")
	for _, x := range commandCases {
		list(x.name, x.about)
	}
	index.WriteString("\n## Each thing that a node may wait for\n\n")
	for _, p := range promised {
		var links []string
		for _, name := range p.shown {
			links = append(links, fmt.Sprintf("[%s](%s.txt)", name, name))
		}
		fmt.Fprintf(&index, "- %s: %s\n", p.what, strings.Join(links, ", "))
	}
	if *rewrite {
		if err := os.WriteFile(filepath.Join(goldenDir, "README.md"), []byte(index.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, _ := os.ReadFile(filepath.Join(goldenDir, "README.md")); string(have) != index.String() {
		t.Errorf("the index is not that of the cases: run with -rewrite")
	}
	files, err := os.ReadDir(goldenDir)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, f := range files {
		have = append(have, f.Name())
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("files %v\ncases %v", have, want)
	}
}

func allReasons(a server.WhyAnswer) []event.Reason {
	out := slices.Concat(a.Reasons, a.LeaderReasons)
	if a.Survey != nil {
		out = append(out, a.Survey.Reasons...)
		for _, m := range a.Survey.Members {
			out = append(out, m.Reasons...)
		}
	}
	return out
}

// whyScreen is what both outputs show, without what differs from run to run.
func whyScreen(t *testing.T, a server.WhyAnswer) string {
	var b bytes.Buffer
	endpoint := a.Node + ":2379"
	fmt.Fprintf(&b, "$ muster why --endpoint %s\n", endpoint)
	tidy(&a)
	printWhy(&b, endpoint, a)
	fmt.Fprintf(&b, "\n$ muster why --endpoint %s --output json\n", endpoint)
	if err := printJSON(&b, a); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// tidy puts reasons into an order that doesn't depend on identities, and leaves
// out the tables that the survey's reasons are made of.
func tidy(a *server.WhyAnswer) {
	sort := func(rs []event.Reason) []event.Reason {
		return slices.SortedStableFunc(slices.Values(rs), func(x, y event.Reason) int { return strings.Compare(x.Code+x.Text, y.Code+y.Text) })
	}
	ids := map[string]string{a.ID.String(): a.Node}
	a.Reasons, a.LeaderReasons = append([]event.Reason{}, sort(a.Reasons)...), sort(a.LeaderReasons)
	if a.Survey != nil {
		s := *a.Survey
		s.Members = slices.Clone(s.Members)
		for i := range s.Members {
			m := &s.Members[i]
			ids[m.ID.String()] = m.Name
			m.Reasons, m.Reach = sort(m.Reasons), nil
			m.Err = anyID.ReplaceAllString(same(m.Err), "an-ID")
		}
		s.Reasons = append([]event.Reason{}, s.Reasons...)
		a.Survey = &s
	}
	for _, r := range allReasonsOf(a) {
		r.Text, r.WayOut = same(r.Text), same(r.WayOut)
		for id, name := range ids {
			r.Text, r.WayOut = strings.ReplaceAll(r.Text, id, "ID-of-"+name), strings.ReplaceAll(r.WayOut, id, "ID-of-"+name)
		}
		r.Text, r.WayOut = anyID.ReplaceAllString(r.Text, "an-ID"), anyID.ReplaceAllString(r.WayOut, "an-ID")
	}
}

func allReasonsOf(a *server.WhyAnswer) (out []*event.Reason) {
	add := func(rs []event.Reason) {
		for i := range rs {
			out = append(out, &rs[i])
		}
	}
	add(a.Reasons)
	add(a.LeaderReasons)
	if a.Survey != nil {
		add(a.Survey.Reasons)
		for i := range a.Survey.Members {
			add(a.Survey.Members[i].Reasons)
		}
	}
	return out
}

// What differs from run to run, and what stands for it.
var (
	anyID    = regexp.MustCompile(`\b[0-9a-f]{16}\b`)
	volatile = []struct {
		is   *regexp.Regexp
		than string
	}{
		{regexp.MustCompile(`incarnation [0-9a-f]{32}\b`), "incarnation I"},
		{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "a-cluster-ID"},
		{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "a-date"},
		{regexp.MustCompile(`\b\d+(\.\d+)?s\b|\b\d+m\d+s\b|\b\d+h\d+m(\d+s)?\b`), "Ns"},
		{regexp.MustCompile(`\b\d+(\.\d+)? (B|[KMGT]iB)\b`), "N MiB"},
		{regexp.MustCompile(`\banswered for \S+ of`), "answered for Ns of"},
		{regexp.MustCompile(`\b(term|index) \d+`), "$1 N"},
		{regexp.MustCompile(`\b\d+ (of \d+ ticks|entries|ticks|catch-up rounds?|times)\b`), "N $1"},
		{regexp.MustCompile(`(tried|silent) (once|N times)`), "$1 N times"},
		{regexp.MustCompile(`/[^ ]*/(n\d+)(/[^ :]*)?`), "/data/$1"},
		{regexp.MustCompile(`\bdial memory [^:]*:\d+: `), ""},
	}
)

func same(s string) string {
	for _, v := range volatile {
		s = v.is.ReplaceAllString(s, v.than)
	}
	return s
}

var jsonIDs = regexp.MustCompile(`"([0-9a-f]{16}|[0-9a-f]{32})"`)

// compare holds got against the file.
func compare(t *testing.T, file, about, got string) {
	t.Helper()
	got = jsonIDs.ReplaceAllString(got, `"ID"`)
	got = regexp.MustCompile(`\([0-9a-f]{32}\)`).ReplaceAllString(got, "(a-cluster-ID)")
	got = "# " + about + "\n\n" + got
	if *rewrite {
		if err := os.MkdirAll(goldenDir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: write it with -rewrite, and read it", err)
	}
	if got != string(want) {
		t.Errorf("%s is otherwise now (-rewrite takes it over). It was\n%s\nand is\n%s", file, want, got)
	}
}

// ask is `muster why` at a member.
func ask(t *testing.T, m *mustertest.Member) server.WhyAnswer {
	t.Helper()
	return server.Explain(t.Context(), m.Node, true)
}

// askFor asks a member until its screen has reasons of all those codes.
func askFor(t *testing.T, c *mustertest.Cluster, name string, codes ...string) server.WhyAnswer {
	t.Helper()
	var a server.WhyAnswer
	c.Until(t.Context(), fmt.Sprintf("%s says %v", name, codes), func() bool {
		a = ask(t, c.Member(name))
		for _, code := range codes {
			if !slices.ContainsFunc(allReasons(a), func(r event.Reason) bool { return r.Code == code }) {
				return false
			}
		}
		return true
	})
	return a
}

// led is a cluster of founders that n1 leads.
func led(t *testing.T, opt mustertest.Options) *mustertest.Cluster {
	t.Helper()
	c := mustertest.New(t, opt)
	c.Start()
	c.Ready(t.Context())
	lead(t, c, "n1")
	return c
}

// lead gives leadership to a member, and waits until all have settled.
func lead(t *testing.T, c *mustertest.Cluster, name string) {
	t.Helper()
	ctx := t.Context()
	c.Until(ctx, name+" leads", func() bool {
		if c.Leader(ctx).Name == name {
			return true
		}
		// It is refused as long as the leader hasn't heard of that one.
		_ = c.Member(name).Transfer(ctx, c.Member(name).Status().Self.ID)
		return false
	})
	time.Sleep(5 * time.Second) // virtual
}

func write(t *testing.T, m *mustertest.Member, n, size int) {
	t.Helper()
	for i := range n {
		ctx, cancel := context.WithTimeout(t.Context(), mustertest.Patience)
		_, err := m.Propose(ctx, fmt.Appendf(nil, "%d-%s", i, strings.Repeat("x", size)))
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// only leaves out what a case is not about.
func only(a server.WhyAnswer, keep func(event.Reason) bool) server.WhyAnswer {
	drop := func(rs []event.Reason) []event.Reason {
		return slices.DeleteFunc(slices.Clone(rs), func(r event.Reason) bool { return !keep(r) })
	}
	s := event.Survey{Reasons: drop(a.Survey.Reasons)}
	for _, m := range a.Survey.Members {
		if m.Err == "" {
			m.Reasons = drop(m.Reasons)
			s.Members = append(s.Members, m)
		}
	}
	a.Reasons, a.LeaderReasons, a.Survey = drop(a.Reasons), drop(a.LeaderReasons), &s
	return a
}
