package mvcc

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

func randomKey(r *rand.Rand) []byte {
	const bytes = "\x00\x01\x02ab\xfe\xff"
	key := make([]byte, r.IntN(6))
	for i := range key {
		key[i] = bytes[r.IntN(len(bytes))]
	}
	return key
}

func versionKey(user []byte, rev Revision) []byte { return AppendSuffix(AppendPrefix(nil, user), rev) }

func TestComparer(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	prefixes := [][]byte{AppendPrefix(nil, nil)}
	for range 40 {
		prefixes = append(prefixes, AppendPrefix(nil, randomKey(r)))
	}
	var suffixes [][]byte
	for _, rev := range []Revision{{1, 0}, {2, 0}, {2, 7}, {255, 1}, {math.MaxInt64, Newest}} {
		suffixes = append(suffixes, AppendSuffix(nil, rev))
	}
	if err := pebble.CheckComparer(NewComparer(), prefixes, suffixes); err != nil {
		t.Error(err)
	}
}

// TestOrder: versions are ordered by user key, and the newest of a key first;
// bounds fall between keys; separators between their arguments.
func TestOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	c := NewComparer()
	for range 200_000 {
		a, b := randomKey(r), randomKey(r)
		ra := Revision{int64(r.IntN(3)), r.Uint32N(3)}
		rb := Revision{int64(r.IntN(3)), r.Uint32N(3)}
		ka, kb := versionKey(a, ra), versionKey(b, rb)
		want := cmp.Or(bytes.Compare(a, b), -cmp.Compare(ra.Main, rb.Main), -cmp.Compare(ra.Sub, rb.Sub))
		if got := c.Compare(ka, kb); got != want {
			t.Fatalf("%q@%v and %q@%v: order %d, want %d", a, ra, b, rb, got, want)
		}
		if bound := AppendBound(nil, b); (bytes.Compare(ka, bound) >= 0) != (bytes.Compare(a, b) >= 0) {
			t.Fatalf("bound of %q is on the wrong side of %q", b, a)
		}
		if bytes.Compare(ka, AppendEnd(nil)) >= 0 {
			t.Fatalf("%q is after the end", a)
		}
		if want < 0 {
			if s := c.Separator(nil, ka, kb); c.Compare(ka, s) > 0 || c.Compare(s, kb) >= 0 {
				t.Fatalf("separator of %x and %x: %x", ka, kb, s)
			}
		}
		if s := c.Successor(nil, ka); c.Compare(ka, s) > 0 {
			t.Fatalf("successor of %x: %x", ka, s)
		}
	}
}

func TestSplitVersion(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	var buf []byte
	for range 10_000 {
		user, rev := randomKey(r), Revision{r.Int64(), r.Uint32()}
		key := versionKey(user, rev)
		var got []byte
		var gotRev Revision
		var ok bool
		got, buf, gotRev, ok = SplitVersion(key, buf)
		if !ok || !bytes.Equal(got, user) || gotRev != rev {
			t.Fatalf("%q@%v comes back as %q@%v, %v", user, rev, got, gotRev, ok)
		}
	}
	for _, bad := range [][]byte{nil, []byte("k"), AppendPrefix(nil, []byte("a")), AppendEventKey(nil, Revision{1, 2}), MetaKey("state")} {
		if _, _, _, ok := SplitVersion(bad, nil); ok {
			t.Errorf("%x passes as a version", bad)
		}
	}
}

// TestGolden pins the format: what is on disk must stay readable.
func TestGolden(t *testing.T) {
	meta := make([]byte, MaxMetaLen)
	meta = meta[:PutMeta(meta, 300, Meta{Create: 2, Version: 5, Lease: 128})]
	record := AppendEvent(nil, 7, 7, Updated, []byte("a"))
	record = AppendEvent(record, 7, 9, Deleted, []byte("bc"))
	record = AppendEvent(record, 9, 9, Created, []byte("d"))
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"version", versionKey([]byte("a\x00\x01b"), Revision{7, 3}), "6b" + "61" + "0101" + "0102" + "62" + "00" + "fffffffffffffff8" + "fffffffc"},
		{"meta", meta, "aa02" + "05" + "8001"},
		{"event key", AppendEventKey(nil, Revision{7, 3}), "65" + "0000000000000007" + "00000003"},
		{"event record", record, "01" + "00" + "04" + "61" + "02" + "09" + "6263" + "00" + "06" + "64"},
		{"state key", MetaKey("state"), "6d" + "7374617465"},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestValue(t *testing.T) {
	for _, m := range []Meta{{1, 1, 0}, {7, 3, -1}, {math.MaxInt64, math.MaxInt64, math.MinInt64}} {
		var head [MaxMetaLen]byte
		n := PutMeta(head[:], math.MaxInt64, m)
		got, value, ok := SplitValue(append(head[:n:n], "value"...), math.MaxInt64)
		if !ok || got != m || string(value) != "value" {
			t.Errorf("%+v comes back as %+v %q %v", m, got, value, ok)
		}
		for i := 1; i < n; i++ {
			if _, _, ok := SplitValue(head[:i], math.MaxInt64); ok {
				t.Errorf("%+v cut to %d bytes is taken for whole", m, i)
			}
		}
	}
	if m, value, ok := SplitValue(nil, 5); !ok || m.Version != 0 || value != nil {
		t.Errorf("tombstone: %+v %q %v", m, value, ok)
	}
}

func TestEvents(t *testing.T) {
	want := []Event{
		{Revision: Revision{5, 2}, Key: []byte("a")}, {Revision: Revision{5, 3}, Deleted: true},
		{Revision: Revision{6, 0}, Created: true, Key: []byte("b")}, {Revision: Revision{900, 0}, Deleted: true, Key: []byte("a")},
		{Revision: Revision{900, 1}, Key: bytes.Repeat([]byte("x"), 300)},
	}
	var record []byte
	last := want[0].Main
	for _, e := range want {
		record = AppendEvent(record, last, e.Main, kindOf(e), e.Key)
		last = e.Main
	}
	r, ok := ReadEvents(AppendEventKey(nil, want[0].Revision), record)
	for i, w := range want {
		e, more, good := r.Next()
		if !ok || !more || !good || e.Revision != w.Revision || e.Deleted != w.Deleted || e.Created != w.Created || !bytes.Equal(e.Key, w.Key) {
			t.Fatalf("event %d: %+v %v %v, want %+v", i, e, more, good, w)
		}
	}
	if _, more, good := r.Next(); more || !good {
		t.Error("there is more after the last")
	}
}

func kindOf(e Event) EventKind {
	switch {
	case e.Deleted:
		return Deleted
	case e.Created:
		return Created
	}
	return Updated
}

// TestOldEvents: records that were written before puts said what they create.
func TestOldEvents(t *testing.T) {
	r, ok := ReadEvents(AppendEventKey(nil, Revision{7, 3}), []byte("\x00\x02a\x02\x05bc"))
	var got []string
	for ok {
		var e Event
		var more bool
		if e, more, ok = r.Next(); !more {
			break
		}
		got = append(got, fmt.Sprintf("%d.%d %s %v %v", e.Main, e.Sub, e.Key, e.Deleted, e.Created))
	}
	if want := []string{"7.3 a false false", "9.0 bc true false"}; !ok || !slices.Equal(got, want) {
		t.Errorf("%q %v, want %q", got, ok, want)
	}
}

// FuzzEvents: any record is read to its end or found damaged.
func FuzzEvents(f *testing.F) {
	f.Add([]byte("\x00\x02a\x02\x05bc"))
	f.Add([]byte("\x01\x00\x04a\x02\x09bc"))
	f.Add([]byte("\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a"))
	f.Fuzz(func(t *testing.T, record []byte) {
		r, _ := ReadEvents(AppendEventKey(nil, Revision{1, 0}), record)
		for i := 0; ; i++ {
			_, more, ok := r.Next()
			if !ok || !more {
				return
			}
			if i > len(record) {
				t.Fatal("more events than bytes")
			}
		}
	})
}

// FuzzKeys: a version's key is what was written, or none.
func FuzzKeys(f *testing.F) {
	f.Add(AppendSuffix(AppendPrefix(nil, []byte("a\x00\x01b")), Revision{3, 4}))
	f.Add([]byte("k\x01\x03\x00............"))
	f.Fuzz(func(t *testing.T, key []byte) {
		user, _, r, ok := SplitVersion(key, nil)
		if !ok || bytes.IndexByte(key[1:len(key)-SuffixLen-1], terminator) >= 0 {
			return // none, or one that no user key is written as
		}
		if again := AppendSuffix(AppendPrefix(nil, user), r); !bytes.Equal(again, key) {
			t.Fatalf("%x was read as what is written %x", key, again)
		}
	})
}

// FuzzValues: a version's value is split as it was joined, or damaged.
func FuzzValues(f *testing.F) {
	f.Add([]byte("\x02\x01\x00value"), int64(5))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), int64(1))
	f.Fuzz(func(t *testing.T, stored []byte, main int64) {
		m, value, ok := SplitValue(stored, main)
		if !ok || len(stored) == 0 || m.Create > main {
			return
		}
		var head [MaxMetaLen]byte
		again, rest, ok := SplitValue(append(head[:PutMeta(head[:], main, m)], value...), main)
		if !ok || again != m || !bytes.Equal(rest, value) {
			t.Fatalf("%x at %d is %+v %x, and then %+v %x", stored, main, m, value, again, rest)
		}
	})
}
