package apiserver

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
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
	yes := true
	var watches []watch.Interface
	for range 20 {
		w, err := maps.Watch(ctx, meta.ListOptions{
			SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersionMatch: meta.ResourceVersionMatchNotOlderThan,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		watches = append(watches, w)
	}
	var told sync.WaitGroup
	for _, w := range watches {
		told.Go(func() {
			live, began, changed, last := map[string]bool{}, false, 0, 0
			err := tell(ctx, w, 3*time.Minute, func(e watch.Event) bool {
				m := e.Object.(*core.ConfigMap)
				revision, err := strconv.Atoi(m.ResourceVersion)
				if err != nil || began && (revision < last || revision == last && e.Type != watch.Bookmark) {
					t.Errorf("%s at %s after %d", e.Type, m.ResourceVersion, last)
				}
				switch e.Type {
				case watch.Bookmark:
					if m.Annotations[meta.InitialEventsAnnotationKey] == "true" {
						if began || len(live) != n {
							t.Errorf("began with %d objects", len(live))
						}
						began = true
					}
				case watch.Added:
					live[m.Name] = true
				case watch.Modified:
					changed++
				case watch.Deleted:
					delete(live, m.Name)
				}
				if began {
					last = revision
				}
				return began && len(live) == 0
			})
			if err != nil || changed != n {
				t.Errorf("told of %d changes and to have %d objects left: %v", changed, len(live), err)
			}
		})
	}
	inParallel(t, 16, n, func(i int) error {
		_, err := maps.Update(ctx, configMap(fmt.Sprint("m", i), "changed"), meta.UpdateOptions{})
		return err
	})
	if err := maps.DeleteCollection(ctx, meta.DeleteOptions{}, meta.ListOptions{}); err != nil {
		t.Error(err)
	}
	told.Wait()
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
