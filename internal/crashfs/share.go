package crashfs

// Share is how much of n a test does in this build: all of it, or an eighth
// under the race detector, which makes everything some ten times slower and
// finds no fault of a disk that the same test doesn't find without it.
func Share(n int) int { return (n + slowdown - 1) / slowdown }
