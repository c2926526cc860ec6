package apiserver

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

const sigterm, sigkill = syscall.SIGTERM, syscall.SIGKILL

// testFaults writes without a pause while members and the server are killed and
// ended. Whatever was acknowledged is there, and who listens is told all of it.
func testFaults(t *testing.T, ms *members, s *server) {
	namespace(t, s, "faults")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	factory := informers.NewSharedInformerFactoryWithOptions(s.client, 0, informers.WithNamespace("faults"))
	informer := factory.Core().V1().ConfigMaps()
	told := informer.Lister().ConfigMaps("faults")
	go informer.Informer().RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), informer.Informer().HasSynced) {
		t.Fatal("the informer did not begin")
	}
	for _, fault := range []struct {
		name string
		do   func()
	}{
		{"the leader is killed", func() { ms.restart(sigkill, ms.leader()) }},
		{"a follower is killed", func() { ms.restart(sigkill, ms.follower()) }},
		{"each member is ended in turn", func() {
			for _, m := range ms.all {
				ms.restart(sigterm, m)
			}
		}},
		{"all members are killed at once", func() { ms.restart(sigkill, ms.all...) }},
		{"the server is killed", func() { s.restart(sigkill) }},
		{"the server is ended", func() { s.restart(sigterm) }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			w := write(ctx, s, fault.name)
			w.sees(t, 50)
			began := time.Now()
			fault.do()
			w.sees(t, 50)
			t.Logf("%d writes acknowledged, %v until there were 50 after it", w.end(), time.Since(began))
			for text, n := range w.errors {
				t.Logf("%d times: %s", n, text)
			}
			s.ready()
			list, err := s.client.CoreV1().ConfigMaps("faults").List(ctx, meta.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			holds(t, "the list", list.Items, w.acked)
			eventually(t, "the informer has been told of all of it", 2*time.Minute, func() bool {
				for name, value := range w.acked {
					if m, err := told.Get(name); err != nil || m.Data["k0"] != value {
						return false
					}
				}
				return true
			})
		})
	}
}

func (ms *members) follower() *member {
	leader := ms.leader()
	for _, m := range ms.all {
		if m != leader {
			return m
		}
	}
	return nil
}

func (s *server) restart(how syscall.Signal) {
	s.end(how)
	s.start()
	s.ready()
}

func holds(t *testing.T, what string, items []core.ConfigMap, want map[string]string) {
	t.Helper()
	have := map[string]string{}
	for _, m := range items {
		have[m.Name] = m.Data["k0"]
	}
	lost := 0
	for name, value := range want {
		if have[name] != value {
			lost++
			if lost < 5 {
				t.Errorf("%s: %s is %q, and %q was acknowledged", what, name, have[name], value)
			}
		}
	}
	if lost > 0 {
		t.Errorf("%s: %d of %d writes lost", what, lost, len(want))
	}
}

// writes are what some writers had acknowledged, and what they heard else. Each
// creates an object and changes it, again and again; a write that nobody
// acknowledged is tried again until somebody does.
type writes struct {
	stop chan struct{}
	done sync.WaitGroup

	mu     sync.Mutex
	acked  map[string]string // by object, what it holds
	errors map[string]int    // by text
}

func write(ctx context.Context, s *server, by string) *writes {
	w := &writes{stop: make(chan struct{}), acked: map[string]string{}, errors: map[string]int{}}
	for writer := range 8 {
		w.done.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-w.stop:
					return
				case <-ctx.Done():
					return
				default:
					w.one(ctx, s, fmt.Sprintf("%s-%d-%d", digest(by), writer, i))
				}
			}
		})
	}
	return w
}

// one creates an object and changes it.
func (w *writes) one(ctx context.Context, s *server, name string) {
	maps := s.client.CoreV1().ConfigMaps("faults")
	w.until(ctx, name, "made", func(ctx context.Context) error {
		_, err := maps.Create(ctx, configMap(name, "made"), meta.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil // by an attempt that nobody acknowledged
		}
		return err
	})
	w.until(ctx, name, "changed", func(ctx context.Context) error {
		_, err := maps.Update(ctx, configMap(name, "changed"), meta.UpdateOptions{})
		return err
	})
}

// until tries until it is acknowledged that the object has the value.
func (w *writes) until(ctx context.Context, name, value string, try func(context.Context) error) {
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, 20*time.Second)
		err := try(attempt)
		cancel()
		w.mu.Lock()
		if err == nil {
			w.acked[name] = value
		} else {
			w.errors[fmt.Sprintf("%.160s", err)]++
		}
		w.mu.Unlock()
		if err == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// sees waits until so many more objects are acknowledged.
func (w *writes) sees(t *testing.T, n int) {
	t.Helper()
	count := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.acked)
	}
	before := count()
	eventually(t, "writes go on", 3*time.Minute, func() bool { return count() >= before+n })
}

func (w *writes) end() int {
	close(w.stop)
	w.done.Wait()
	return len(w.acked)
}

// digest makes a name of words.
func digest(words string) string {
	out := []byte(words)
	for i, b := range out {
		if b == ' ' {
			out[i] = '-'
		}
	}
	return string(out)
}
