package apiserver

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
)

// testConsistent reads after each write, from the cache, while others write: a
// cache that answers before it knows to be up to date would miss some.
func testConsistent(t *testing.T, _ *members, s *server) {
	ctx := t.Context()
	namespace(t, s, "consistent")
	var others sync.WaitGroup
	stop := make(chan struct{})
	defer others.Wait()
	defer close(stop)
	others.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				if _, err := s.client.CoreV1().Secrets("consistent").Create(ctx, &core.Secret{ObjectMeta: meta.ObjectMeta{Name: fmt.Sprint("s", i)}}, meta.CreateOptions{}); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	maps := s.client.CoreV1().ConfigMaps("consistent")
	inParallel(t, 4, 200, func(i int) error {
		name := fmt.Sprint("m", i)
		if _, err := maps.Create(ctx, configMap(name), meta.CreateOptions{}); err != nil {
			return err
		}
		list, err := maps.List(ctx, meta.ListOptions{FieldSelector: "metadata.name=" + name})
		if err != nil {
			return err
		}
		if len(list.Items) != 1 {
			return fmt.Errorf("%s was created, and isn't listed", name)
		}
		return nil
	})
}

// testWatch has many watches told the same, in order, from the state that they
// begin with to the deletion of everything.
func testWatch(t *testing.T, _ *members, s *server) {
	ctx := t.Context()
	namespace(t, s, "watched")
	maps := s.client.CoreV1().ConfigMaps("watched")
	const n = 300
	inParallel(t, 16, n, func(i int) error {
		_, err := maps.Create(ctx, configMap(fmt.Sprint("m", i)), meta.CreateOptions{})
		return err
	})
	var told sync.WaitGroup
	for range 20 {
		v := &viewer{t: t, want: n, started: make(chan struct{})}
		told.Go(func() {
			if err := v.follow(ctx, maps, 3*time.Minute); err != nil || v.changed != n {
				t.Errorf("told of %d changes and to have %d objects left: %v", v.changed, len(v.live), err)
			}
			if !v.began {
				close(v.started)
			}
		})
		<-v.started
	}
	inParallel(t, 16, n, func(i int) error {
		_, err := maps.Update(ctx, configMap(fmt.Sprint("m", i), "changed"), meta.UpdateOptions{})
		return err
	})
	if err := maps.DeleteCollection(ctx, meta.DeleteOptions{}, meta.ListOptions{}); err != nil {
		t.Error(err)
	}
	told.Wait()
	if t.Failed() {
		return
	}
	list, err := maps.List(ctx, meta.ListOptions{})
	if err != nil || len(list.Items) != 0 {
		t.Errorf("left: %v, %v", list, err)
	}
	// A watch of what nobody changes is told by bookmarks how far the rest has come.
	w, err := maps.Watch(ctx, meta.ListOptions{ResourceVersion: list.ResourceVersion, AllowWatchBookmarks: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if _, err := s.client.CoreV1().Secrets("watched").Create(ctx, &core.Secret{ObjectMeta: meta.ObjectMeta{Name: "s"}}, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := tell(ctx, w, 3*time.Minute, func(e watch.Event) bool {
		return e.Type == watch.Bookmark && e.Object.(*core.ConfigMap).ResourceVersion != list.ResourceVersion
	}); err != nil {
		t.Errorf("no bookmark: %v", err)
	}
}

// viewer keeps a copy of what it is told of, as an informer does.
type viewer struct {
	t       *testing.T
	want    int           // how many objects there are to begin with
	started chan struct{} // closed when it has those

	live          map[string]bool
	began         bool
	changed, last int // changes since then; the newest revision
}

// follow goes on until everything is deleted. The server ends a watch whose
// client is slow: it goes on from where it was, and misses nothing.
func (v *viewer) follow(ctx context.Context, maps typed.ConfigMapInterface, within time.Duration) error {
	for deadline := time.Now().Add(within); ; {
		yes, opts := true, meta.ListOptions{AllowWatchBookmarks: true, ResourceVersion: strconv.Itoa(v.last)}
		if !v.began {
			v.live, opts = map[string]bool{}, meta.ListOptions{SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersionMatch: meta.ResourceVersionMatchNotOlderThan}
		}
		w, err := maps.Watch(ctx, opts)
		if err == nil {
			err = tell(ctx, w, time.Until(deadline), v.see)
			w.Stop()
		}
		if !errors.Is(err, errEnded) {
			return err
		}
		v.t.Logf("a watch ended at %d", v.last)
	}
}

// see takes one event, and says whether all is over.
func (v *viewer) see(e watch.Event) bool {
	m := e.Object.(*core.ConfigMap)
	revision, err := strconv.Atoi(m.ResourceVersion)
	if err != nil || v.began && (revision < v.last || revision == v.last && e.Type != watch.Bookmark) {
		v.t.Errorf("%s at %s after %d", e.Type, m.ResourceVersion, v.last)
	}
	switch e.Type {
	case watch.Bookmark:
		if m.Annotations[meta.InitialEventsAnnotationKey] == "true" {
			if v.began || len(v.live) != v.want {
				v.t.Errorf("began with %d objects", len(v.live))
			}
			v.began = true
			close(v.started)
		}
	case watch.Added:
		v.live[m.Name] = true
	case watch.Modified:
		v.changed++
	case watch.Deleted:
		delete(v.live, m.Name)
	}
	if v.began {
		v.last = revision
	}
	return v.began && len(v.live) == 0
}
