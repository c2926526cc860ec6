// Package clients holds tests of what is built on etcd's client: the packages
// beside clientv3 and its recipes. Each test runs on three members of etcd and
// on three of muster, through all their endpoints, and again while one of the
// members is killed and comes back.
package clients
