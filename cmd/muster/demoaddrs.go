package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
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

// extendAddrs adds members up to n: on etcd's usual ports where these are
// free, else on any that is.
func extendAddrs(old []demoAddrs, n int) ([]demoAddrs, error) {
	var held []net.Listener // so that no port is given twice
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	taken := map[string]bool{}
	for _, a := range old {
		taken[a.Client], taken[a.Peer] = true, true
	}
	pick := func(port int) (string, error) {
		want := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", want)
		if port > 65535 || taken[want] || err != nil {
			if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
				return "", fmt.Errorf("find a free port: %w", err)
			}
		}
		held = append(held, l)
		return l.Addr().String(), nil
	}
	all := old
	for i := len(old); i < n; i++ {
		base := 2379
		if i > 0 {
			base += 10000 * (i + 1)
		}
		client, err := pick(base)
		if err != nil {
			return nil, err
		}
		peer, err := pick(base + 1)
		if err != nil {
			return nil, err
		}
		all = append(all, demoAddrs{Name: fmt.Sprintf("n%d", i+1), Client: client, Peer: peer})
	}
	return all, nil
}
