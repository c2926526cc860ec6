// Package lockapi is etcd's Lock and Election services: the recipes of
// clientv3/concurrency, run by the member for clients that have none in their
// language.
//
// It is a client of the member that it is part of, by a connection that never
// leaves the process, and holds nothing of its own: who has a lock, or leads an
// election, is what the keys under its name say. So a request that is cut off
// leaves at most a key that goes with its lease.
//
// Whoever calls is who the requests are made for, and may no more than that.
package lockapi
