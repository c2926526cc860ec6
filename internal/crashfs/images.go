package crashfs

import "fmt"

// Image is one disk that the next process may find.
type Image struct {
	FS   *FS
	Name string // which it is: the Mode and the seed, or "killed"
}

// Images returns what may be found after a crash now: nothing that wasn't
// synced, all of it, and draws of every kind that is drawn at random, each
// once. The last is [FS.Kill]'s. seed makes it reproducible.
func (f *FS) Images(seed uint64, draws int) []Image {
	var images []Image
	seen := map[string]bool{}
	add := func(mode Mode, seed uint64) {
		img := f.Crash(mode, seed)
		if holds := img.String(); !seen[holds] {
			seen[holds] = true
			images = append(images, Image{img, fmt.Sprintf("%s %d", mode, seed)})
		}
	}
	add(None, seed)
	add(All, seed)
	for mode := Prefix; mode < modes; mode++ {
		for k := range draws {
			add(mode, seed+uint64(k))
		}
	}
	return append(images, Image{f.Kill(), "killed"})
}
