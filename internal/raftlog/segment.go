package raftlog

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	segmentSuffix = ".log"
	tmpSuffix     = ".tmp"
)

func segmentName(n uint32) string { return fmt.Sprintf("%08x%s", n, segmentSuffix) }

// parseSegmentName says false for a file that is no segment of ours.
func parseSegmentName(name string) (uint32, bool) {
	hex, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(hex) != 8 {
		return 0, false
	}
	n, err := strconv.ParseUint(hex, 16, 32)
	return uint32(n), err == nil && n > 0 && segmentName(uint32(n)) == name
}

// segment is one file as its readers see it. Whoever reads holds a reference,
// so that a dropped segment is closed behind its last reader.
type segment struct {
	number uint32
	path   string
	file   vfs.File // for ReadAt
	size   int64    // bytes on disk; owned by the writer
	refs   atomic.Int32
}

// openSegment opens the file for reading; the caller has the one reference.
func openSegment(fs vfs.FS, path string, number uint32) (*segment, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, onFile("open", path, err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, onFile("stat", path, err)
	}
	s := &segment{number: number, path: path, file: f, size: info.Size()}
	s.refs.Store(1)
	return s, nil
}

func (s *segment) acquire() { s.refs.Add(1) }

// release closes the file behind the last reference. Nothing was written
// through this handle, so that closing can't lose anything.
func (s *segment) release() {
	if s.refs.Add(-1) == 0 {
		_ = s.file.Close()
	}
}

func (s *segment) corrupt(off int64, format string, args ...any) error {
	return &CorruptError{File: s.path, Offset: off, Reason: fmt.Sprintf(format, args...)}
}
