package kv

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestUsed: what is used grows with what is written, flushed or not, and does
// not count it twice.
func TestUsed(t *testing.T) {
	d := newDriver(t)
	if used := d.Used(); used > 4<<10 {
		t.Errorf("an empty store uses %d bytes", used)
	}
	const size = 1 << 20
	value := make([]byte, size/64)
	write := func() {
		for i := range 64 {
			rand.Read(value)
			d.do(&pb.PutRequest{Key: fmt.Append(nil, i), Value: value})
		}
	}
	write()
	if used := d.Used(); used < size || used > size*3/2 {
		t.Errorf("%d bytes are used after %d were written", used, size)
	}
	must(t, d.Prepare())
	if used := d.Used(); used < size || used > size*5/4 {
		t.Errorf("%d bytes are used after %d were flushed", used, size)
	}
	write()
	if used := d.Used(); used < 2*size || used > 3*size {
		t.Errorf("%d bytes are used after %d were written", used, 2*size)
	}
	must(t, d.Reclaim(context.Background()))
	if used := d.Used(); used < 2*size || used > 9*size/4 {
		t.Errorf("%d bytes are used after all was rewritten; history was not compacted", used)
	}
}

// TestReclaim: what was deleted and compacted gives its space back at once.
func TestReclaim(t *testing.T) {
	d := newDriver(t)
	value := make([]byte, 16<<10)
	for i := range 64 {
		rand.Read(value)
		d.do(&pb.PutRequest{Key: fmt.Append(nil, i), Value: value})
	}
	d.do(&pb.DeleteRangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
	rev, _ := d.Revision()
	d.do(&pb.CompactionRequest{Revision: rev})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	must(t, d.Reclaim(ctx))
	if used := d.Used(); used > 64<<10 {
		t.Errorf("%d bytes are used after everything was deleted", used)
	}
}
