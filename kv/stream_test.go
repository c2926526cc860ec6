package kv

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// answerInParts puts a stream's parts together again.
func (s *Store) answerInParts(r *pb.RangeRequest, chunk int) (out Reply) {
	whole := &pb.RangeResponse{}
	out.Err = s.RangeStream(context.Background(), r, chunk, func(part *pb.RangeResponse) error {
		if whole.Header != nil {
			return errors.New("a part after the last")
		}
		kvs := append(whole.Kvs, part.Kvs...)
		whole = part
		whole.Kvs = kvs
		return nil
	})
	if out.Err == nil {
		out.Response = whole
	}
	return out
}

// TestRangeStream: parts are as large as they are to be, and come from one
// revision, whatever is written, compacted and purged between them.
func TestRangeStream(t *testing.T) {
	d := newDriver(t)
	const keys, size, chunk = 200, 1000, 10_000
	for i := range keys {
		d.put(fmt.Sprintf("%03d", i), strings.Repeat("x", size))
	}
	want := d.get(all())
	var got []*pb.RangeResponse
	must(t, d.RangeStream(t.Context(), all(), chunk, func(part *pb.RangeResponse) error {
		if n := proto.Size(part); n > chunk+2*size || n < chunk/2 && part.Header == nil {
			t.Errorf("a part of %d bytes, want about %d", n, chunk)
		}
		if got = append(got, part); len(got)%2 == 0 {
			cur, _ := d.Revision()
			d.do(&pb.DeleteRangeRequest{Key: fmt.Appendf(nil, "%03d", 8*len(got)), RangeEnd: []byte{0}})
			d.put("new", "")
			d.put("100", "other")
			if len(got) >= 6 {
				d.do(&pb.CompactionRequest{Revision: cur})
				return d.Purged(t.Context())
			}
		}
		return nil
	}))
	n := 0
	for i, part := range got {
		if last := i+1 == len(got); last != (part.Header != nil) || !last && (part.Count != 0 || part.More) {
			t.Errorf("part %d of %d: header %v, count %d, more %v", i, len(got), part.Header, part.Count, part.More)
		}
		for _, kv := range part.Kvs {
			if !proto.Equal(kv, want.Kvs[n]) {
				t.Fatalf("key %d is %v", n, kv)
			}
			n++
		}
	}
	if last := got[len(got)-1]; n != keys || last.Header.Revision != keys+1 || last.Count != keys || last.More {
		t.Errorf("%d keys, revision %d, count %d, more %v", n, last.Header.Revision, last.Count, last.More)
	}
}

// TestRangeStreamEnds: by its receiver, by its context, and with the store.
func TestRangeStreamEnds(t *testing.T) {
	d := newDriver(t)
	for i := range 30 {
		d.put(fmt.Sprint(i), "")
	}
	enough := errors.New("enough")
	parts := 0
	if err := d.RangeStream(t.Context(), all(), 1, func(*pb.RangeResponse) error { parts++; return enough }); !errors.Is(err, enough) || parts != 1 {
		t.Errorf("told to end: %v, after %d parts", err, parts)
	}
	ctx, cancel := context.WithCancel(t.Context())
	parts = 0
	if err := d.RangeStream(ctx, all(), 1, func(*pb.RangeResponse) error { parts++; cancel(); return nil }); !errors.Is(err, context.Canceled) || parts != 1 {
		t.Errorf("cancelled: %v, after %d parts", err, parts)
	}
	for rev, want := range map[int64]error{2: ErrCompacted, 99: ErrFutureRev} {
		d.do(&pb.CompactionRequest{Revision: 5})
		r := all()
		r.Revision = rev
		if err := d.RangeStream(t.Context(), r, 1, func(*pb.RangeResponse) error { return nil }); !errors.Is(err, want) {
			t.Errorf("at revision %d: %v, want %v", rev, err, want)
		}
	}
	must(t, d.Close())
	if err := d.RangeStream(t.Context(), all(), 1, func(*pb.RangeResponse) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("of a closed store: %v", err)
	}
}
