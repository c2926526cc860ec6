// Package apiserver runs a whole kube-apiserver, built from Kubernetes' own
// release, on three members, and uses it as a cluster does.
//
// The members are started with the flags of kubeadm's static pod, certificates
// and all, so the server's etcd client, its watch cache, its compactor and its
// leases for events and for masters are the real ones. What is asked of it: that
// nothing which was acknowledged is lost, that lists, pages and watches are of
// one revision, whatever was compacted or killed meanwhile, and that it is ready
// again by itself. With -etcd the same is asked of an etcd.
//
// It is a module of its own for its dependencies' sake, which are exactly those of
// the release: muster, built apart, is not one of them.
package apiserver
