package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// key is the i-th, 24 bytes, in no order of i: neighbours in the order of keys
// were not written together.
func key(i int) string {
	return fmt.Sprintf("%c/%016x/%05d", 'a'+i%26, uint64(i)*0x9e3779b97f4a7c15, i%100000)
}

// load puts every key once, some to a transaction.
func (b *bench) load(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	next := make(chan int)
	var clients sync.WaitGroup
	for n := range b.clients {
		rnd := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)})
		clients.Go(func() {
			value := make([]byte, b.valueBytes)
			for from := range next {
				var ops []clientv3.Op
				for i := from; i < min(from+b.puts, b.keys); i++ {
					_, _ = rnd.Read(value) // it never fails
					ops = append(ops, clientv3.OpPut(key(i), string(value)))
				}
				if _, err := b.client.Txn(ctx).Then(ops...).Commit(); err != nil {
					cancel(fmt.Errorf("put keys from %d: %w", from, err))
				}
			}
		})
	}
	for i := 0; i < b.keys && ctx.Err() == nil; i += b.puts {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	clients.Wait()
	return perSecond(float64(b.keys), "keys", began), context.Cause(ctx)
}

// crash kills it while keys are written again, so that what it has not made
// durable beside its log is as much as it gets.
func (b *bench) crash(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		_, _ = b.load(ctx) // it is cut short
		close(ended)
	}()
	time.Sleep(5 * time.Second)
	cancel() // no client is closed under a call
	b.Kill()
	<-ended
	return "", b.client.Close()
}

func (b *bench) count(ctx context.Context) (string, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	got, err := b.client.Get(ctx, "", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err == nil && got.Count != int64(b.keys) {
		err = fmt.Errorf("%d keys, want %d", got.Count, b.keys)
	}
	return perSecond(float64(b.keys), "keys", began), err
}

// stream reads everything.
func (b *bench) stream(ctx context.Context) (string, error) {
	began := time.Now()
	stream, err := b.client.GetStream(ctx, "", clientv3.WithPrefix())
	if err != nil {
		return "", err
	}
	keys, bytes := 0, 0
	for part := range stream {
		if err := part.Err(); err != nil {
			return "", err
		}
		keys += len(part.Kvs)
		for _, kv := range part.Kvs {
			bytes += len(kv.Key) + len(kv.Value)
		}
	}
	if keys != b.keys {
		return "", fmt.Errorf("%d keys, want %d", keys, b.keys)
	}
	return perSecond(float64(bytes>>20), "MiB", began), nil
}

// deleteAll deletes a letter, or some, to a request.
func (b *bench) deleteAll(ctx context.Context) (string, error) {
	began := time.Now()
	deleted := int64(0)
	for p := range b.pieces {
		from, to := 'a'+26*p/b.pieces, 'a'+26*(p+1)/b.pieces
		ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
		resp, err := b.client.Delete(ctx, string(rune(from)), clientv3.WithRange(string(rune(to))))
		cancel()
		if err != nil {
			return "", err
		}
		deleted += resp.Deleted
	}
	if deleted != int64(b.keys) {
		return "", fmt.Errorf("%d keys deleted, want %d", deleted, b.keys)
	}
	return perSecond(float64(deleted), "keys", began), nil
}

func (b *bench) compact(ctx context.Context) (string, error) {
	began := time.Now()
	resp, err := b.client.Put(ctx, key(0), "the last")
	if err == nil {
		_, err = b.client.Compact(ctx, resp.Header.Revision, clientv3.WithCompactPhysical())
	}
	return perSecond(float64(b.keys), "keys", began), err
}

// reclaim waits until the store has given nine tenths of its disk back.
func (b *bench) reclaim(ctx context.Context) (string, error) {
	for {
		st, err := b.client.Status(ctx, b.addrs[0])
		if err != nil {
			return "", err
		}
		if st.DbSize < int64(b.keys)*int64(b.valueBytes)/10 {
			return fmt.Sprintf("store %d MiB", st.DbSize>>20), nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// rest waits, and writes nothing, until the last snapshot, which holds on to the
// tables of its time, has been replaced, and the directory is small: what is left
// is the log.
func (b *bench) rest(ctx context.Context) (string, error) {
	for diskUse(b.dir) > int64(b.keys)*int64(b.valueBytes)/10+256<<20 {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return "", nil
}

func perSecond(n float64, what string, began time.Time) string {
	return fmt.Sprintf("%.0f %s/s", n/time.Since(began).Seconds(), what)
}
