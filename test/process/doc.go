// Package process holds the tests that run muster as its users do: the built
// program, several real processes, real sockets and disks, kill -9 and wiped
// directories, and etcd's own client. It is no library; there is nothing to
// import.
//
// Tests run beside each other, those excepted that say how long something may
// take, or that elections are few, or whose clients work as fast as they can.
//
// Tests that need network namespaces skip with the reason unless they run as
// root with iproute2 installed; with MUSTER_REQUIRE_ROOT_TESTS=1, as in CI,
// they fail instead of skipping.
package process
