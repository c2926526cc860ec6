package kv

import (
	"sync"
	"sync/atomic"
)

// inbox holds what was committed and not looked at yet.
type inbox struct {
	on atomic.Bool // there is a watch

	mu    sync.Mutex
	pages []*page
	bytes int
	last  int64 // the revision of the store, as the last commit left it
	lost  bool  // pages were thrown away, since too many waited
}

func (in *inbox) put(p *page, limit int) {
	in.pages, in.bytes = append(in.pages, p), in.bytes+p.bytes
	if in.bytes > limit {
		in.lose()
	}
}

// lose says that there was more than the inbox takes.
func (in *inbox) lose() { in.pages, in.bytes, in.lost = nil, 0, true }

// take empties the inbox.
func (in *inbox) take() (pages []*page, last int64, lost bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	pages, last, lost = in.pages, in.last, in.lost
	in.pages, in.bytes, in.lost = nil, 0, false
	return pages, last, lost
}

// restart empties the inbox and sets whether pages are wanted from now on. All
// revisions after the one returned come as pages then.
func (in *inbox) restart(on bool) (last int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.on.Store(on)
	in.pages, in.bytes, in.lost = nil, 0, false
	return in.last
}
