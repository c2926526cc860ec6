package crashfs

import "github.com/musterhq/muster/internal/race"

// Report logs how many of what a test has tried ("images", "faults", "bit
// flips"), for `make crash` to add up, and fails it below its floor, of which
// [race.Share] counts.
func Report(t interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
}, n int, what string, floor int) {
	t.Helper()
	t.Logf("crash disk: %d %s", n, what)
	if floor = race.Share(floor); n < floor {
		t.Errorf("only %d %s, want at least %d", n, what, floor)
	}
}
