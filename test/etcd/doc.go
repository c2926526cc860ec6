// Package etcd is empty: the module holds the tests that hold muster to etcd's
// behaviour with the real things, etcd's server, clients and tools, so that
// they stay out of muster's own dependencies.
//
//   - differential: the same seeded random requests to an etcd and to a
//     muster, every answer compared.
//   - clients: the packages beside etcd's client, and its recipes.
//   - ctl: etcdctl's commands, and what they print.
//   - flags: etcd's flags, by its own help.
//   - robustness: histories with killed members, judged by the validators of
//     etcd's own robustness tests.
//
// The tests of Kubernetes' storage layer are in kubernetes, a module again, and
// a whole kube-apiserver on members in apiserver, another.
package etcd
