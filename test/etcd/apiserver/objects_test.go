package apiserver

import (
	"fmt"
	"sync"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func configMap(name string, data ...string) *core.ConfigMap {
	m := &core.ConfigMap{ObjectMeta: meta.ObjectMeta{Name: name}, Data: map[string]string{}}
	for i, d := range data {
		m.Data[fmt.Sprint("k", i)] = d
	}
	return m
}

// namespace makes one, of which the test's objects are.
func namespace(t *testing.T, s *server, name string) {
	t.Helper()
	if _, err := s.client.CoreV1().Namespaces().Create(t.Context(), &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: name}}, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// testObjects creates, reads, changes and deletes, and is told of every conflict.
func testObjects(t *testing.T, _ *members, s *server) {
	ctx := t.Context()
	namespace(t, s, "objects")
	secrets := s.client.CoreV1().Secrets("objects")
	made, err := secrets.Create(ctx, &core.Secret{ObjectMeta: meta.ObjectMeta{Name: "a"}, Data: map[string][]byte{"k": {0, 1, 255}}}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := secrets.Create(ctx, &core.Secret{ObjectMeta: meta.ObjectMeta{Name: "a"}}, meta.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("created again: %v", err)
	}
	stale := made.DeepCopy()
	made.Data["k"] = []byte("2")
	if made, err = secrets.Update(ctx, made, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := secrets.Update(ctx, stale, meta.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("changed what had changed: %v", err)
	}
	if _, err := secrets.Patch(ctx, "a", types.ApplyPatchType, []byte(`{"apiVersion": "v1", "kind": "Secret", "data": {"l": "Mw=="}}`), meta.PatchOptions{FieldManager: "test"}); err != nil {
		t.Error(err)
	}
	if got, err := secrets.Get(ctx, "a", meta.GetOptions{}); err != nil || string(got.Data["k"]) != "2" || string(got.Data["l"]) != "3" || got.UID != made.UID {
		t.Errorf("read: %v, %v", got, err)
	}
	old := made.ResourceVersion
	if err := secrets.Delete(ctx, "a", meta.DeleteOptions{Preconditions: &meta.Preconditions{ResourceVersion: &old}}); !apierrors.IsConflict(err) {
		t.Errorf("deleted what had changed: %v", err)
	}
	if err := secrets.Delete(ctx, "a", meta.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := secrets.Get(ctx, "a", meta.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("read what is deleted: %v", err)
	}
	// Nobody empties the namespace here, so it is told to be empty.
	if err := s.client.CoreV1().Namespaces().Delete(ctx, "objects", meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	ns, err := s.client.CoreV1().Namespaces().Get(ctx, "objects", meta.GetOptions{})
	if err != nil || ns.Status.Phase != core.NamespaceTerminating {
		t.Fatalf("the namespace: %v, %v", ns, err)
	}
	ns.Spec.Finalizers = nil
	if _, err := s.client.CoreV1().Namespaces().Finalize(ctx, ns, meta.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.CoreV1().Namespaces().Get(ctx, "objects", meta.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace is deleted: %v", err)
	}
}

// inParallel calls do for each of n numbers, some at once, until one fails.
func inParallel(t *testing.T, workers, n int, do func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	todo, failed := make(chan int), make(chan error, workers)
	for range workers {
		wg.Go(func() {
			for i := range todo {
				if err := do(i); err != nil {
					failed <- err
					return
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case todo <- i:
		case err := <-failed:
			t.Error(err)
			break feed
		}
	}
	close(todo)
	wg.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
}

// testMany creates objects, and reads them all at once, in pages, and as they were.
func testMany(t *testing.T, _ *members, s *server) {
	ctx := t.Context()
	namespace(t, s, "many")
	maps := s.client.CoreV1().ConfigMaps("many")
	began := time.Now()
	inParallel(t, 32, *objects, func(i int) error {
		_, err := maps.Create(ctx, configMap(fmt.Sprintf("m%06d", i), "some text that takes some space, but not much of it"), meta.CreateOptions{})
		return err
	})
	t.Logf("%d objects created in %v", *objects, time.Since(began))
	for _, how := range []struct {
		name string
		opts meta.ListOptions
	}{
		{"consistent, from the cache", meta.ListOptions{}},
		{"whatever the cache has", meta.ListOptions{ResourceVersion: "0"}},
		{"in pages of 500", meta.ListOptions{Limit: 500}},
	} {
		began, names, pages, revision := time.Now(), map[string]bool{}, 0, ""
		for opts := how.opts; ; pages++ {
			page, err := maps.List(ctx, opts)
			if err != nil {
				t.Fatalf("%s: %v", how.name, err)
			}
			if revision == "" {
				revision = page.ResourceVersion
			}
			if page.ResourceVersion != revision {
				t.Errorf("%s: a page of %s after one of %s", how.name, page.ResourceVersion, revision)
			}
			for _, m := range page.Items {
				if names[m.Name] {
					t.Errorf("%s: %s twice", how.name, m.Name)
				}
				names[m.Name] = true
			}
			if opts.Continue = page.Continue; opts.Continue == "" {
				break
			}
			if pages == 0 { // what comes later is not in the later pages
				if _, err := maps.Create(ctx, configMap("n"+how.name[:1]), meta.CreateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		delete(names, "kube-root-ca.crt")
		if len(names) != *objects {
			t.Errorf("%s: %d objects of %d", how.name, len(names), *objects)
		}
		t.Logf("listed, %s, in %v", how.name, time.Since(began))
	}
}
