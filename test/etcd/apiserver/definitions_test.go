package apiserver

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

const definition = `{
	"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "boats.example.com"},
	"spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "boats", "singular": "boat", "kind": "Boat"},
	"versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": {"type": "object", "properties": {
		"spec": {"type": "object", "properties": {"length": {"type": "integer", "minimum": 1}}}, "status": {"type": "object", "properties": {"afloat": {"type": "boolean"}}}}}}}]}}`

// testDefinitions defines a kind of object, uses it, and takes it back with all
// objects of that kind.
func testDefinitions(t *testing.T, _ *members, s *server) {
	ctx := t.Context()
	namespace(t, s, "boats")
	kinds := s.dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	var crd unstructured.Unstructured
	if err := crd.UnmarshalJSON([]byte(definition)); err != nil {
		t.Fatal(err)
	}
	if _, err := kinds.Create(ctx, &crd, meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	boats := s.dynamic.Resource(schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "boats"}).Namespace("boats")
	boat := func(i, length int) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "example.com/v1", "kind": "Boat", "metadata": map[string]any{"name": fmt.Sprint("b", i)},
			"spec": map[string]any{"length": int64(length)},
		}}
	}
	eventually(t, "the kind is there", 2*time.Minute, func() bool {
		_, err := boats.Create(ctx, boat(0, 1), meta.CreateOptions{})
		return err == nil || apierrors.IsAlreadyExists(err)
	})
	if _, err := boats.Create(ctx, boat(1, 0), meta.CreateOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("a boat of no length: %v", err)
	}
	list, err := boats.List(ctx, meta.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatal(list, err)
	}
	w, err := boats.Watch(ctx, meta.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	const n = 200
	inParallel(t, 16, n, func(i int) error {
		made, err := boats.Create(ctx, boat(i+1, i+1), meta.CreateOptions{})
		if err != nil {
			return err
		}
		made.Object["status"] = map[string]any{"afloat": true}
		_, err = boats.UpdateStatus(ctx, made, meta.UpdateOptions{})
		return err
	})
	if err := kinds.Delete(ctx, "boats.example.com", meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	seen := map[watch.EventType]int{}
	if err := tell(ctx, w, 2*time.Minute, func(e watch.Event) bool {
		seen[e.Type]++
		return seen[watch.Deleted] == n+1
	}); err != nil || seen[watch.Added] != n || seen[watch.Modified] < n {
		t.Errorf("told %v of the boats: %v", seen, err)
	}
	eventually(t, "the kind is gone", 2*time.Minute, func() bool {
		_, err := kinds.Get(ctx, "boats.example.com", meta.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

var errEnded = errors.New("the watch ended")

// tell hands on what a watch tells, until that is enough.
func tell(ctx context.Context, w watch.Interface, within time.Duration, enough func(watch.Event) bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		select {
		case e, ok := <-w.ResultChan():
			if !ok {
				return errEnded
			}
			if e.Type == watch.Error {
				return apierrors.FromObject(e.Object)
			}
			if enough(e) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
