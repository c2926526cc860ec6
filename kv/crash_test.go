package kv

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/statemachine"
)

// script is a log, in Apply calls, with what a store holds after each.
type script struct {
	calls []logged
	after map[uint64]uint32 // hash, by the index that was applied
}

func (s *script) last() uint64 { return s.calls[len(s.calls)-1].through }

// newScript writes a log of commands of all kinds, with values large enough for
// memtables to be flushed in between.
func newScript(t *testing.T, seed uint64, calls int) *script {
	t.Helper()
	c := &commander{requests: requests{Rand: newRand(seed)}, t: t}
	d := newDriver(t)
	s := &script{after: map[uint64]uint32{}}
	note := func() {
		h, _, err := d.Hash(context.Background())
		must(t, err)
		s.after[d.index] = h
	}
	note()
	for range calls {
		c.auth = d.Auth()
		c.rev, _ = d.Revision()
		var l logged
		for range 1 + c.IntN(6) {
			d.index++
			cmd := c.command()
			if c.IntN(8) == 0 {
				cmd = encode(t, &pb.PutRequest{Key: c.key(), Value: []byte(strings.Repeat("v", 8<<10))})
			}
			l.entries = append(l.entries, statemachine.Entry{Index: d.index, Command: cmd})
		}
		l.through = d.index
		_, err := d.Apply(l.through, l.entries)
		must(t, err)
		s.calls = append(s.calls, l)
		note()
	}
	return s
}

func (s *script) play(t testing.TB, to *Store, from, through uint64) {
	t.Helper()
	for _, l := range s.calls {
		if l.through > from && l.through <= through {
			_, err := to.Apply(l.through, l.entries)
			must(t, err)
		}
	}
}

// crashed is a disk as power loss left it.
type crashed struct {
	crashfs.Image
	at      crashfs.Op
	durable uint64
}

// TestPowerLoss takes the disk away at operations all over a store's life: its
// first start, writes, flushes, purges, images and backups taken, an image
// installed, the end. What is found is the state after one of the calls of Apply,
// none older than what was said to be durable; and the store goes on from there.
func TestPowerLoss(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			log := newScript(t, seed, 120)
			found := livesAndDies(t, log, seed)
			seen := map[uint64]int{}
			for _, f := range found {
				seen[f.revives(t, log)]++
			}
			if len(seen) < 5 {
				t.Errorf("%d crashes left no more than %d states", len(found), len(seen))
			}
		})
	}
}

// livesAndDies has a store go through the log, and more, and collects disks.
func livesAndDies(t *testing.T, log *script, seed uint64) (found []crashed) {
	t.Helper()
	disk, rnd := crashfs.New(), newRand(seed)
	var durable atomic.Uint64
	var mu sync.Mutex
	armed := atomic.Bool{}
	disk.SetHook(func(op crashfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if armed.Load() && strings.HasPrefix(strings.TrimPrefix(op.Name, "/"), "kv") && rnd.IntN(15) == 0 {
			at := durable.Load()
			// Not those that shuffle names: the engine relies on a file system which
			// keeps them in order within a directory, as journals do.
			mode := pick(rnd, crashfs.None, crashfs.All, crashfs.Prefix, crashfs.Prefix)
			found = append(found, crashed{crashfs.Image{FS: disk.Crash(mode, rnd.Uint64()), Name: mode.String()}, op, at})
		}
		return nil
	})
	note := func(s *Store) {
		t.Helper()
		d, err := s.Durable()
		must(t, err)
		durable.Store(d)
	}
	mkdir := func(dir string) {
		t.Helper()
		must(t, disk.MkdirAll(dir, 0o755))
		must(t, syncDir(disk, ""))
	}
	start := func(dir string) *Store {
		t.Helper()
		s := New(smallOptions(disk))
		s.purge = purgeLimits{window: 3000, batch: 300}
		_, err := s.Open(dir)
		must(t, err)
		return s
	}
	half := log.calls[len(log.calls)/2].through
	mkdir("other")
	mkdir("image")
	other := start("other")
	log.play(t, other, 0, half)
	must(t, other.Checkpoint("image"))
	must(t, other.Close())
	mkdir("kv")
	armed.Store(true)
	s := start("kv")
	at := uint64(0)
	for i, l := range log.calls {
		if l.through == half {
			must(t, s.Restore("image", half))
			note(s)
			at = half
			continue
		}
		if i >= len(log.calls)/3 && l.through < half {
			continue // this part comes with the image
		}
		log.play(t, s, at, l.through)
		at = l.through
		note(s)
		switch i % 10 {
		case 3:
			must(t, s.Prepare())
			note(s)
		case 5:
			must(t, s.Purged(context.Background()))
			note(s)
		case 7:
			b, err := s.Backup()
			must(t, err)
			must(t, b.Close())
		case 9:
			must(t, s.Close())
			s = start("kv")
			note(s)
		}
	}
	must(t, s.Close())
	durable.Store(log.last())
	mu.Lock()
	defer mu.Unlock()
	armed.Store(false)
	return append(found, crashed{crashfs.Image{FS: disk.Crash(crashfs.None, 0), Name: "after the end"}, crashfs.Op{}, log.last()})
}

// revives opens what was found, and returns the index that it is at.
func (f crashed) revives(t *testing.T, log *script) uint64 {
	t.Helper()
	where := fmt.Sprintf("crash (%s) before %v", f.Name, f.at)
	s := New(smallOptions(f.FS))
	applied, err := s.Open("kv")
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	want, whole := log.after[applied]
	if applied < f.durable || !whole {
		t.Fatalf("%s: the state is at index %d; a call's end: %v; %d was durable", where, applied, whole, f.durable)
	}
	s.sound(t)
	is, _, err := s.Hash(context.Background())
	if err != nil || is != want {
		t.Fatalf("%s: hash %08x at index %d, want %08x (%v)", where, is, applied, want, err)
	}
	log.play(t, s, applied, log.last())
	must(t, s.Purged(context.Background()))
	s.sound(t)
	if is, _, err := s.Hash(context.Background()); err != nil || is != log.after[log.last()] {
		t.Fatalf("%s: having gone on, hash %08x, want %08x (%v)", where, is, log.after[log.last()], err)
	}
	must(t, s.Close())
	return applied
}
