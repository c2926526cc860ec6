package crashfs

import (
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
)

// ReadFile returns a copy of a file's bytes.
func (f *FS) ReadFile(name string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.walk("read", name)
	if err != nil {
		return nil, err
	}
	return slices.Clone(n.data), nil
}

// WriteFile sets a file's bytes, durably and past the hook; its directory must
// exist. Tests damage files with it.
func (f *FS) WriteFile(name string, b []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.walk("write", name)
	if err != nil {
		dir, base, perr := f.parent("write", name)
		if perr != nil {
			return perr
		}
		n = &node{mode: 0o644}
		d := dirent{base, n}
		dir.names, dir.durableNames = bind(dir.names, d), bind(dir.durableNames, d)
	}
	n.data, n.durable, n.writes = slices.Clone(b), slices.Clone(b), nil
	return nil
}

// String lists everything that can be read, sorted: path, size, checksum.
func (f *FS) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	var list func(prefix string, n *node)
	list = func(prefix string, n *node) {
		for _, d := range n.names {
			if d.node.dir {
				fmt.Fprintf(&b, "%s%s/\n", prefix, d.name)
				list(prefix+d.name+"/", d.node)
				continue
			}
			fmt.Fprintf(&b, "%s%s %d %08x\n", prefix, d.name, len(d.node.data), crc32.ChecksumIEEE(d.node.data))
		}
	}
	list("/", f.root)
	return b.String()
}
