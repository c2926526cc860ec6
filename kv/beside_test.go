package kv

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// At each revision r of the tests here, from the first write on, every key of
// besideKeys has the value r, and was deleted and put anew if r is a multiple of 7.
const besideKeys = 8

// besider is somebody who looks at the store while it is written to.
type besider struct {
	*Store
	*rand.Rand
	hashes *sync.Map // sums, by what they are of
}

// revision is one that may be read, or could a moment ago.
func (b besider) revision() int64 {
	cur, compacted := b.Revision()
	low := max(compacted, 2)
	return low + b.Int64N(cur-low+1)
}

// gone says that a read was refused because history went meanwhile.
func (b besider) gone(err error, rev int64) bool {
	_, compacted := b.Revision()
	return errors.Is(err, ErrCompacted) && rev < compacted
}

func (b besider) holds(kvs []*mvccpb.KeyValue, rev int64) error {
	if len(kvs) != besideKeys {
		return fmt.Errorf("at revision %d there are %d keys: %s", rev, len(kvs), show(kvs))
	}
	for _, kv := range kvs {
		if string(kv.Value) != fmt.Sprint(rev) || kv.ModRevision != rev || kv.Version != rev%7+1 && rev > 7 {
			return fmt.Errorf("at revision %d: %s, version %d", rev, show([]*mvccpb.KeyValue{kv}), kv.Version)
		}
	}
	return nil
}

func (b besider) look(ctx context.Context) error {
	rev := b.revision()
	asked := all()
	asked.Revision = pick(b.Rand, rev, rev, 0)
	switch b.IntN(5) {
	case 0:
		h, err := b.HashKV(ctx, asked.Revision)
		if err != nil && !b.gone(err, asked.Revision) {
			return err
		}
		of := [2]int64{h.Revision, h.Compacted}
		if was, there := b.hashes.LoadOrStore(of, h.Sum); err == nil && there && was != h.Sum {
			return fmt.Errorf("hash of revision %d, compacted at %d, is %08x and was %08x", h.Revision, h.Compacted, h.Sum, was)
		}
		return nil
	case 1:
		r := b.answerInParts(asked, 1+b.IntN(100))
		if r.Err != nil {
			if b.gone(r.Err, asked.Revision) {
				return nil
			}
			return r.Err
		}
		resp := r.Response.(*pb.RangeResponse)
		if asked.Revision == 0 {
			asked.Revision = resp.Header.Revision
		}
		return b.holds(resp.Kvs, asked.Revision)
	case 2:
		return b.watch(ctx, rev)
	}
	resp, err := b.Range(ctx, asked)
	if err != nil {
		if b.gone(err, asked.Revision) {
			return nil
		}
		return err
	}
	if asked.Revision == 0 {
		asked.Revision = resp.Header.Revision
	}
	return b.holds(resp.Kvs, asked.Revision)
}

// watch follows what happened from a revision on, for a while.
func (b besider) watch(ctx context.Context, from int64) error {
	g := b.NewWatches()
	defer g.Close()
	spec := WatchSpec{Key: []byte{0}, End: []byte{0}, From: from, PrevKV: b.IntN(2) == 0, NoDelete: true}
	each := int64(besideKeys)
	if b.IntN(3) == 0 {
		spec.Key, spec.End, each = []byte("3"), nil, 1
	}
	if _, err := g.Add(1, spec); err != nil {
		return err
	}
	for n := int64(0); n < 20*each; {
		batch, _, err := g.Poll()
		if err != nil || ctx.Err() != nil {
			return err
		}
		if batch == nil {
			if cur, _ := b.Revision(); from+n/each > cur {
				return nil
			}
			continue
		}
		if batch.Compacted != 0 {
			if from+n/each >= batch.Compacted {
				return fmt.Errorf("compacted at %d, and a watch at %d ends", batch.Compacted, from+n/each)
			}
			return nil
		}
		for _, e := range batch.Events {
			rev := from + n/each
			n++
			prev := e.PrevKv == nil || e.PrevKv.ModRevision == rev-1 && string(e.PrevKv.Value) == fmt.Sprint(rev-1)
			if e.Kv.ModRevision != rev || string(e.Kv.Value) != fmt.Sprint(rev) || !prev {
				return fmt.Errorf("a watch from %d gets %v, want revision %d", from, e, rev)
			}
		}
	}
	return nil
}

// TestReadersBesideEverything: reads of any revision, hashes, and watches from any
// revision are right, or told that history is gone, while the store is written to,
// flushed, compacted, purged and given images, in pieces now and then.
func TestReadersBesideEverything(t *testing.T) {
	d := newDriver(t)
	d.purge.window, d.purge.batch, d.purge.rest = 2000, 200, 0
	d.hub.limits.tail, d.hub.limits.due, d.hub.limits.part = 8<<10, 4, 4*pageEventBytes
	rnd := newRand(9)
	write := func(rev int64) {
		d.smallPieces(rnd)
		txn := &pb.TxnRequest{}
		for key := range besideKeys {
			txn.Success = append(txn.Success, putOp(fmt.Sprint(key), fmt.Sprint(rev)))
		}
		if rev%7 == 0 { // unchecked: a put of what was deleted
			txn.Success = append([]*pb.RequestOp{deleteOp("\x00", "\x00")}, txn.Success...)
		}
		must(t, d.do(txn).Err)
	}
	write(2)
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	var hashes sync.Map
	for n := range uint64(4) {
		readers.Go(func() {
			b := besider{d.Store, newRand(n), &hashes}
			for ctx.Err() == nil {
				if err := b.look(ctx); err != nil && ctx.Err() == nil {
					t.Errorf("reader %d: %v", n, err)
					return
				}
			}
		})
	}
	for rev := int64(3); rev < 600 && !t.Failed(); rev++ {
		write(rev)
		switch rnd.IntN(40) {
		case 0:
			must(t, d.Prepare())
		case 1, 2, 3:
			d.do(&pb.CompactionRequest{Revision: rev - rnd.Int64N(30)})
		case 4:
			must(t, d.Purged(ctx))
		case 5:
			dir := fmt.Sprint("image-", rev)
			must(t, d.opt.FS.MkdirAll(dir, 0o755))
			must(t, d.Checkpoint(dir))
			must(t, d.Restore(dir, d.index))
		}
	}
	stop()
	readers.Wait()
	d.sound(t)
}
