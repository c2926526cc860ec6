package crashfs

// Share is how much of n a test does in this build: all of it, or an eighth
// under the race detector, which makes everything some ten times slower and
// finds no fault of a disk that the same test doesn't find without it.
func Share(n int) int { return (n + slowdown - 1) / slowdown }

// Report logs how many of what a test has tried ("images", "faults", "bit
// flips"), for `make crash` to add up, and fails it below its floor, of which
// [Share] counts.
func Report(t interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
}, n int, what string, floor int) {
	t.Helper()
	t.Logf("crash disk: %d %s", n, what)
	if floor = Share(floor); n < floor {
		t.Errorf("only %d %s, want at least %d", n, what, floor)
	}
}
