// Package kubernetes runs the tests of Kubernetes' own storage layer, packages
// etcd3 and cacher of k8s.io/apiserver/pkg/storage, against muster.
//
// They are its tests, unchanged, all but two that are not about the server:
// lists and pages at one revision, consistent lists, conditional writes, leases
// for objects that expire, compaction, watches with bookmarks and progress
// notifications, watch lists, lists that are streamed. They start their etcd in
// one file, which is replaced by one that starts a muster instead. What shows
// that they did run on muster is its own count of the calls that it answered:
// without it the test fails.
//
// It is a module of its own for its dependencies' sake.
package kubernetes

// What is tested is a dependency, for the go command to find it.
import (
	_ "k8s.io/apiserver/pkg/storage/cacher"
	_ "k8s.io/apiserver/pkg/storage/etcd3"
)
