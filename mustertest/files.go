package mustertest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// contents reads every file below dir, by its path there.
func contents(dir string) (map[string][]byte, error) {
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		out[rel], err = os.ReadFile(path)
		return err
	})
	return out, err
}

// unchanged says whether the files below dir are still as they were.
func unchanged(dir string, before map[string][]byte) error {
	after, err := contents(dir)
	if err != nil {
		return err
	}
	if !slices.Equal(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after))) {
		return fmt.Errorf("files of the checkpoint came or went: %v, then %v", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
	}
	for name := range before {
		if !bytes.Equal(before[name], after[name]) {
			return fmt.Errorf("file %s of the checkpoint has changed", name)
		}
	}
	return nil
}

// copyStill copies a directory as it is at one moment: when files change under
// its hands it begins again.
func copyStill(from, to string) error {
	for range 100 {
		before, err := contents(from)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if after, err := contents(from); err != nil || !maps.EqualFunc(before, after, bytes.Equal) {
			continue
		}
		for name, b := range before {
			name = filepath.Join(to, name)
			if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(name, b, 0o600); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("the files in %s never stand still", from)
}
