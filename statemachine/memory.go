package statemachine

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// Memory is a machine whose whole state is in memory. Its methods are called
// by one goroutine, one at a time; reads by the embedder beside them are its
// own business to synchronise.
type Memory interface {
	// Apply carries out one command and returns what its caller gets. command
	// is not kept or changed. It must be deterministic; a command that makes
	// no sense is answered with a Result that says so.
	Apply(command []byte) Result

	// Save writes the whole state. The commands that follow wait for it.
	Save(w io.Writer) error

	// Load replaces the whole state by what a Save on some member wrote. If it
	// fails, the state may be anything: the node stops.
	Load(r io.Reader) error
}

// InMemory makes a [Machine] of m. Nothing of it is on disk: after a restart
// Open returns 0, and the state comes back from the newest snapshot, through
// Restore, and then from the log. Durable is always 0 for the same reason: it
// is snapshots alone that make room in the log.
//
// A checkpoint is one file of m's bytes between an index and a checksum, so
// that it can't be taken for another's, or for whole when it is not.
func InMemory(m Memory) Machine { return &inMemory{m: m} }

type inMemory struct {
	m       Memory
	applied uint64
}

// Open implements [Machine]. The directory stays as it is.
func (a *inMemory) Open(string) (uint64, error) { return 0, nil }

// Apply implements [Machine].
func (a *inMemory) Apply(through uint64, entries []Entry) ([]Result, error) {
	if through < a.applied || len(entries) > 0 && entries[0].Index <= a.applied {
		return nil, fmt.Errorf("apply through %d: the state is at index %d already", through, a.applied)
	}
	results := make([]Result, len(entries))
	for i, e := range entries {
		results[i] = a.m.Apply(e.Command)
	}
	a.applied = through
	return results, nil
}

// Durable implements [Machine].
func (a *inMemory) Durable() (uint64, error) { return 0, nil }

// Close implements [Machine].
func (a *inMemory) Close() error { return nil }

// The file of a checkpoint, numbers big-endian:
//
//	+-------------+-----------+----------------+----------------------+
//	| "mustmem1"  | index (8) | what Save wrote| CRC-32C of all (4)   |
//	+-------------+-----------+----------------+----------------------+
const (
	memoryFile   = "memory"
	memoryMagic  = "mustmem1"
	memoryHeader = len(memoryMagic) + 8
	memoryCRC    = 4
)

func newMemoryCRC() hash.Hash32 { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

// Checkpoint implements [Machine].
func (a *inMemory) Checkpoint(dir string) (err error) {
	name := filepath.Join(dir, memoryFile)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write checkpoint: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = fmt.Errorf("write checkpoint %s: %w", name, err)
		}
	}()
	buf := bufio.NewWriterSize(f, 256<<10)
	crc := newMemoryCRC()
	w := io.MultiWriter(buf, crc)
	if _, err := w.Write(binary.BigEndian.AppendUint64([]byte(memoryMagic), a.applied)); err != nil {
		return err
	}
	if err := a.m.Save(w); err != nil {
		return fmt.Errorf("save the state: %w", err)
	}
	if _, err := buf.Write(binary.BigEndian.AppendUint32(nil, crc.Sum32())); err != nil {
		return err
	}
	return buf.Flush()
}

// Restore implements [Machine]. The file is read twice, so that Load never
// sees bytes that don't match their checksum. An empty directory is the state
// before the first command; it is good for a machine that applied none, and
// for a through of at most 1.
func (a *inMemory) Restore(dir string, through uint64) error {
	name := filepath.Join(dir, memoryFile)
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) && through <= 1 && a.applied == 0 && isEmptyDir(dir) {
		a.applied = through
		return nil
	}
	if err != nil {
		return fmt.Errorf("read checkpoint: %w", err)
	}
	defer f.Close()
	index, body, err := verifyMemory(f)
	if err != nil {
		return fmt.Errorf("read checkpoint %s: %w", name, err)
	}
	if index < through {
		return fmt.Errorf("read checkpoint %s: it holds the state at index %d, want %d", name, index, through)
	}
	if err := a.m.Load(bufio.NewReaderSize(body, 256<<10)); err != nil {
		return fmt.Errorf("load checkpoint %s: %w", name, err)
	}
	a.applied = index
	return nil
}

func isEmptyDir(dir string) bool {
	list, err := os.ReadDir(dir)
	return err == nil && len(list) == 0
}

// verifyMemory checks the whole file and returns its index and the part that
// Save wrote.
func verifyMemory(f *os.File) (index uint64, body io.Reader, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, nil, err
	}
	size := info.Size() - int64(memoryHeader) - memoryCRC
	if size < 0 {
		return 0, nil, fmt.Errorf("it is cut short: %d bytes", info.Size())
	}
	crc := newMemoryCRC()
	if _, err := io.Copy(crc, io.NewSectionReader(f, 0, info.Size()-memoryCRC)); err != nil {
		return 0, nil, err
	}
	var head [8 + 8]byte
	var sum [memoryCRC]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return 0, nil, err
	}
	if _, err := f.ReadAt(sum[:], info.Size()-memoryCRC); err != nil {
		return 0, nil, err
	}
	if string(head[:8]) != memoryMagic {
		return 0, nil, errors.New("it is no checkpoint of a machine in memory")
	}
	if want := binary.BigEndian.Uint32(sum[:]); want != crc.Sum32() {
		return 0, nil, fmt.Errorf("it is damaged: checksum %08x, want %08x", crc.Sum32(), want)
	}
	return binary.BigEndian.Uint64(head[8:]), io.NewSectionReader(f, int64(memoryHeader), size), nil
}
