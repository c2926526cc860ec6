package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/musterhq/muster/internal/loopback"
)

// demoFile remembers the members of a demo in its directory.
const demoFile = "demo.json"

// demoAddrs is one member of a demo.
type demoAddrs struct {
	Name   string `json:"name"`
	Client string `json:"client"` // host:port
	Peer   string `json:"peer"`   // host:port
}

// loadAddrs reads the members of an earlier run; none when there was none.
func loadAddrs(dir string) ([]demoAddrs, error) {
	path := filepath.Join(dir, demoFile)
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		entries, err := os.ReadDir(dir)
		if err == nil && len(entries) > 0 {
			return nil, &coded{exitData, fmt.Errorf("%s is not empty and not a demo's directory (it has no %s); choose another with --data-dir", dir, demoFile)}
		}
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("read the members of the demo: %w", err)
	}
	var all []demoAddrs
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, &coded{exitData, fmt.Errorf("read the members of the demo: %s: %w", path, err)}
	}
	return all, nil
}

func saveAddrs(dir string, all []demoAddrs) error {
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("write the members of the demo: %w", err)
	}
	path := filepath.Join(dir, demoFile)
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o640); err != nil {
		return fmt.Errorf("write the members of the demo: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write the members of the demo: %w", err)
	}
	return nil
}

// usualPorts are those of etcd's own local clusters, for clients and, one
// above, for peers.
var usualPorts = []int{2379, 22379, 32379}

// extendAddrs adds members up to n: on the usual ports where these are free,
// else on any that are. All that it returns is reserved.
func extendAddrs(ports *loopback.Ports, old []demoAddrs, n int) ([]demoAddrs, error) {
	for _, a := range old {
		for _, addr := range []string{a.Client, a.Peer} {
			if ports.Reserve(addr) != nil {
				return nil, fmt.Errorf("%s of this demo is at %s, which is in use; if the demo runs already, end it there, else choose another directory with --data-dir", a.Name, addr)
			}
		}
	}
	all := old
	for i := len(old); i < n; i++ {
		client, err := usualOrAny(ports, i, 0)
		if err != nil {
			return nil, err
		}
		peer, err := usualOrAny(ports, i, 1)
		if err != nil {
			return nil, err
		}
		all = append(all, demoAddrs{Name: fmt.Sprintf("n%d", i+1), Client: client, Peer: peer})
	}
	return all, nil
}

func usualOrAny(ports *loopback.Ports, member, above int) (string, error) {
	if member < len(usualPorts) {
		addr := fmt.Sprintf("127.0.0.1:%d", usualPorts[member]+above)
		if ports.Reserve(addr) == nil {
			return addr, nil
		}
	}
	addrs, err := ports.ReserveAny(1)
	if err != nil {
		return "", err
	}
	return addrs[0], nil
}
