// Package race says whether the race detector is on, and how much less a test
// does under it.
//
// It is for tests, and for what they are made with. It changes how often
// something is tried, never what is tried.
package race

// Share is how much of n a test does in this build: all of it, or an eighth
// under the race detector, which makes everything some ten times slower and
// finds nothing in code of one goroutine that the same test doesn't find
// without it.
func Share(n int) int {
	if Enabled {
		return (n + 7) / 8
	}
	return n
}
