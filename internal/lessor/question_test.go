package lessor

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// asksFar is a member that follows, and what it asks its leader; how many leases each
// question is about is sent to asked, and it is answered after a second.
func asksFar(n *fakeNode) (asked chan int) {
	asked = make(chan int, 100)
	n.stand(2, 4)
	n.onAsk = func(ctx context.Context, question []byte) ([]byte, error) {
		ids := (len(question) - 1) / 8
		asked <- ids
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		var out []byte
		for range ids {
			out = appendID(append(out, byte(Found)), 60)
		}
		return out, nil
	}
	return asked
}

// TestGathered: a renewal that comes alone is asked for at once, and those that
// come meanwhile together.
func TestGathered(t *testing.T) {
	alone(t, func(t *testing.T, n *fakeNode, k *Keeper) {
		asked := asksFar(n)
		for range 2 {
			var group sync.WaitGroup
			renew := func(wait time.Duration) {
				group.Go(func() {
					time.Sleep(wait)
					if got, err := k.Renew(t.Context(), []int64{7}); err != nil || got[0] != 60 {
						t.Errorf("renewed: %v, %v", got, err)
					}
				})
			}
			renew(0)
			for range 50 {
				renew(time.Second / 2)
			}
			begun := time.Now()
			group.Wait()
			if first, rest := <-asked, <-asked; first != 1 || rest != 50 || len(asked) > 0 {
				t.Errorf("asked for %d leases, then for %d, and %d times more", first, rest, len(asked))
			}
			if took := time.Since(begun); took != 2*time.Second {
				t.Errorf("it took %v", took)
			}
		}
	})
}

// TestGathererGone: those that wait for the question of one who has given up are
// asked for all the same, and one who waits may give up.
func TestGathererGone(t *testing.T) {
	alone(t, func(t *testing.T, n *fakeNode, k *Keeper) {
		asked := asksFar(n)
		gone, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			if got, err := k.Renew(gone, []int64{7}); !errors.Is(err, context.Canceled) {
				t.Errorf("given up: %v, %v", got, err)
			}
		})
		synctest.Wait()
		group.Go(func() {
			if got, err := k.Renew(t.Context(), []int64{7, 8}); err != nil || got[0] != 60 || got[1] != 60 {
				t.Errorf("renewed: %v, %v", got, err)
			}
		})
		short, end := context.WithTimeout(t.Context(), time.Millisecond)
		defer end()
		if got, err := k.Renew(short, []int64{7}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waited in vain: %v, %v", got, err)
		}
		cancel()
		group.Wait()
		if first, rest := <-asked, <-asked; first != 1 || rest != 3 {
			t.Errorf("asked for %d leases, then for %d", first, rest)
		}
	})
}
