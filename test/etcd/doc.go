// Package etcd is empty: the module holds the tests that hold muster to etcd's
// behaviour with the real things, etcd's server, clients and tools, so that
// they stay out of muster's own dependencies.
//
//   - differential: the same seeded random requests to an etcd and to a
//     muster, every answer compared.
package etcd
