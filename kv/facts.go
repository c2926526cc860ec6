package kv

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// facts is what the commands of one Apply call wrote of the state that lies
// beside the versions of keys (alarms, leases, users), until it goes to Pebble
// in the batch of the call. A fact has no history: there is its newest value.
type facts struct {
	newest  map[string][]byte // nil: deleted
	dropped factRanges        // of the database; what is in newest came after, or is gone
	undo    []func()          // of the current command, oldest first
}

// known is what is kept in memory of the facts. The applier writes it; readers
// may be anywhere.
type known struct {
	alarms  alarms
	leases  leases
	written atomic.Int64 // see Store.Written
	auth    authNow
	tokens  Tokens
}

// setFact writes a fact, which the commands that follow see. It keeps value.
func (a *applier) setFact(key, value []byte) {
	if value == nil {
		value = []byte{}
	}
	a.facts.put(string(key), value)
}

// deleteFact removes a fact, which need not be there.
func (a *applier) deleteFact(key []byte) { a.facts.put(string(key), nil) }

func (f *facts) put(key string, value []byte) {
	if f.newest == nil {
		f.newest = map[string][]byte{}
	}
	before, had := f.newest[key]
	f.onRefusal(func() {
		if had {
			f.newest[key] = before
		} else {
			delete(f.newest, key)
		}
	})
	f.newest[key] = value
}

// onRefusal has undo run if the current command is refused after all: for what
// is kept in memory of the facts. The last one registered runs first.
func (f *facts) onRefusal(undo func()) { f.undo = append(f.undo, undo) }

// rollback takes back what the current command did.
func (f *facts) rollback() {
	for _, undo := range slices.Backward(f.undo) {
		undo()
	}
	f.keep()
}

// keep makes what the current command did final.
func (f *facts) keep() {
	clear(f.undo)
	f.undo = f.undo[:0]
}

func (f *facts) reset() {
	if len(f.newest) > maxKeptChanges {
		*f = facts{}
		return
	}
	clear(f.newest)
	f.dropped = nil
	f.keep()
}

// fact reads one as the current command sees it. The value must not be changed.
func (a *applier) fact(key []byte) (value []byte, ok bool, err error) {
	if v, ok := a.facts.newest[string(key)]; ok {
		return v, v != nil, nil
	}
	if a.facts.isDropped(key) {
		return nil, false, nil
	}
	return readFact(a.db, key)
}

// readFact reads one as of the last commit.
func readFact(db *pebble.DB, key []byte) (value []byte, ok bool, err error) {
	v, closer, err := db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read fact %q: %w", key, err)
	}
	defer closeQuietly(closer)
	return bytes.Clone(v), true, nil
}

// scanFacts visits the facts of [lower, upper) as the current command sees
// them, in order, until visit fails. own lists the keys of those that commands of
// this call may have written, in order, each once. key and value are valid during
// the visit, in which no other fact may be written.
func (a *applier) scanFacts(own []string, lower, upper []byte, visit func(key, value []byte) error) error {
	visitOwn := func(k string) error {
		if v := a.facts.newest[k]; v != nil {
			return visit([]byte(k), v)
		}
		return nil
	}
	err := scanFacts(a.db, lower, upper, func(key, value []byte) error {
		for len(own) > 0 && own[0] < string(key) {
			if err := visitOwn(own[0]); err != nil {
				return err
			}
			own = own[1:]
		}
		if len(own) > 0 && own[0] == string(key) {
			own = own[1:]
			if _, written := a.facts.newest[string(key)]; written {
				return visitOwn(string(key))
			}
		}
		if a.facts.isDropped(key) {
			return nil
		}
		return visit(key, value)
	})
	for _, k := range own {
		if err == nil {
			err = visitOwn(k)
		}
	}
	return err
}

// scanFacts visits the facts of [lower, upper) as of the last commit, in
// order, until visit fails.
func scanFacts(db *pebble.DB, lower, upper []byte, visit func(key, value []byte) error) (err error) {
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return fmt.Errorf("read facts from %q: %w", lower, err)
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	for it.First(); it.Valid(); it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("read fact %q: %w", it.Key(), err)
		}
		if err := visit(it.Key(), v); err != nil {
			return err
		}
	}
	return it.Error()
}

// encode adds the facts to the batch, in the order of their keys.
func (f *facts) encode(b *pebble.Batch) error {
	if err := f.encodeDropped(b); err != nil {
		return err
	}
	for _, k := range slices.Sorted(maps.Keys(f.newest)) {
		var err error
		if v := f.newest[k]; v != nil {
			err = b.Set([]byte(k), v, nil)
		} else {
			err = b.Delete([]byte(k), nil)
		}
		if err != nil {
			return fmt.Errorf("write fact %q: %w", k, err)
		}
	}
	return nil
}
