//go:build race

package crashfs

const slowdown = 8
