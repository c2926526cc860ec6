package measure

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	// A command name may hold anything, a closing parenthesis too.
	line := "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 13 14 15 16 17 18 19 20 1000 22\n"
	u, err := parseStat([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	if u.CPU != 3*time.Second {
		t.Errorf("CPU time %v, want 3s", u.CPU)
	}
	if u.RSS != 1000*int64(os.Getpagesize()) {
		t.Errorf("resident %d bytes, want 1000 pages", u.RSS)
	}
	for _, bad := range []string{"", "42 (a) S 1", strings.Replace(line, "250", "x", 1)} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

func TestSelfAndProcessAgree(t *testing.T) {
	self, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	proc, err := Process(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if d := (proc.CPU - self.CPU).Abs(); d > 100*time.Millisecond {
		t.Errorf("/proc says %v of CPU time, getrusage %v", proc.CPU, self.CPU)
	}
	if proc.RSS < 1<<20 || proc.RSS > 1<<33 {
		t.Errorf("resident %d bytes", proc.RSS)
	}
}
