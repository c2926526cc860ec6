// Package ctl holds a test of etcdctl, built from its module: a script of its
// commands is run against an etcd and a muster, and what they print, and with
// which code they end, is compared.
package ctl
