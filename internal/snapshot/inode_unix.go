//go:build unix

package snapshot

import (
	"os"
	"syscall"
)

// sameFile says whether both names are certainly links to one file.
func sameFile(a, b os.FileInfo) bool {
	x, ok := a.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	y, ok := b.Sys().(*syscall.Stat_t)
	return ok && x.Dev == y.Dev && x.Ino == y.Ino
}
