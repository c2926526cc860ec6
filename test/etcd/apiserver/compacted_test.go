package apiserver

import (
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// testCompacted goes on with a list, and begins one and a watch, at a revision
// that the server's compactor has put out of reach: 410, and a way on.
func testCompacted(t *testing.T, ms *members, s *server) {
	ctx := t.Context()
	maps := s.client.CoreV1().ConfigMaps("many")
	first, err := maps.List(ctx, meta.ListOptions{Limit: 100})
	if err != nil || first.Continue == "" {
		t.Fatal(first, err)
	}
	before := ms.all[0].metric("etcd_debugging_mvcc_compact_revision")
	compacted := func() bool {
		_, err := maps.Create(ctx, configMap("later"), meta.CreateOptions{})
		if err == nil {
			err = maps.Delete(ctx, "later", meta.DeleteOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = maps.List(ctx, meta.ListOptions{Limit: 100, Continue: first.Continue})
		return apierrors.IsResourceExpired(err)
	}
	eventually(t, "the server compacts", 6*compaction+time.Minute, compacted)
	if after := ms.all[0].metric("etcd_debugging_mvcc_compact_revision"); after == before {
		t.Errorf("410, but the members' compact revision is %s as before", after)
	}
	_, err = maps.List(ctx, meta.ListOptions{Limit: 100, Continue: first.Continue})
	status, ok := err.(apierrors.APIStatus)
	if !ok || status.Status().Code != 410 || status.Status().Continue == "" {
		t.Fatalf("a list that goes on at a compacted revision: %v", err)
	}
	rest, err := maps.List(ctx, meta.ListOptions{Continue: status.Status().Continue})
	if err != nil || len(rest.Items)+len(first.Items) < *objects {
		t.Errorf("goes on where it was, with newer objects: %d, %v", len(rest.Items), err)
	}
	_, err = maps.List(ctx, meta.ListOptions{ResourceVersion: first.ResourceVersion, ResourceVersionMatch: meta.ResourceVersionMatchExact, Limit: 10})
	if !apierrors.IsResourceExpired(err) {
		t.Errorf("a list of a compacted revision: %v", err)
	}
	// A server that begins has nothing older in its cache either.
	s.end(sigterm)
	s.start()
	s.ready()
	w, err := maps.Watch(ctx, meta.ListOptions{ResourceVersion: first.ResourceVersion})
	if err == nil {
		defer w.Stop()
		if e := <-w.ResultChan(); e.Type != watch.Error || !apierrors.IsResourceExpired(apierrors.FromObject(e.Object)) {
			t.Errorf("a watch from a compacted revision: %v", e)
		}
	} else if !apierrors.IsResourceExpired(err) {
		t.Errorf("a watch from a compacted revision: %v", err)
	}
}
