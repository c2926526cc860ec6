// Package loopback hands out addresses on 127.0.0.1 that nobody listens on.
//
// It is not a reservation: another process can take a port between the answer
// and its use. A benchmark that starts its members at once lives with that; a
// member that finds its port taken says so and the cell is reported as failed.
package loopback

import (
	"fmt"
	"net"
)

// Addrs returns n distinct host:port pairs.
func Addrs(n int) ([]string, error) {
	addrs := make([]string, 0, n)
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port on 127.0.0.1: %w", err)
		}
		// Held until all are found, so that no port comes twice.
		defer func() { _ = l.Close() }()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}
