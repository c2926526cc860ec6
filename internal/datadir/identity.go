package datadir

import (
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/musterhq/muster/cluster"
)

// Identity is who the node is, for as long as its disk lives.
type Identity struct {
	Incarnation cluster.Incarnation
	Name        string // the member's name; "" until an Open gives one
	Epoch       uint64 // counts the Opens, 1 for the first

	// Boots are random words, one drawn by each Open, this one's first: that of
	// Boots[i] made epoch Epoch-i. Two copies of a disk that were both opened
	// since have drawn different ones. At most keptBoots.
	Boots []string
}

// keptBoots is how many Opens back two histories of a disk can be told apart.
const keptBoots = 16

// record is the body of the identity file.
type record struct {
	Incarnation cluster.Incarnation `json:"incarnation"`
	Name        string              `json:"name"`
	Epoch       uint64              `json:"epoch"`
	Boots       []string            `json:"boots,omitempty"` // newest first
	Created     string              `json:"created"`         // RFC 3339, UTC; for people
}

// draw makes the identity of an empty directory. Nothing is written.
func draw(random io.Reader, name string) (record, error) {
	r := record{Name: name, Created: time.Now().UTC().Format(time.RFC3339)}
	for r.Incarnation.IsZero() {
		if _, err := io.ReadFull(random, r.Incarnation[:]); err != nil {
			return record{}, fmt.Errorf("draw an incarnation: %w", err)
		}
	}
	return r, nil
}

// boot counts one more Open.
func (r *record) boot(random io.Reader) error {
	var word [8]byte
	if _, err := io.ReadFull(random, word[:]); err != nil {
		return fmt.Errorf("draw the word of a boot: %w", err)
	}
	r.Epoch++
	r.Boots = append([]string{hex.EncodeToString(word[:])}, r.Boots[:min(len(r.Boots), keptBoots-1)]...)
	return nil
}

// load reads the identity and checks that it is the node's that is to run.
func load(fs vfs.FS, path, name string) (record, error) {
	file := fs.PathJoin(path, identityFile)
	b, err := readAll(fs, file)
	if err != nil {
		return record{}, fmt.Errorf("read identity: %w", err)
	}
	var r record
	if err := decode(file, b, &r); err != nil {
		return record{}, err
	}
	if r.Incarnation.IsZero() || r.Epoch == 0 || r.Epoch == math.MaxUint64 {
		return record{}, damaged(file, "it names no incarnation or epoch")
	}
	if name != "" && r.Name != "" && r.Name != name {
		return record{}, &OtherNodeError{Path: path, Want: name, Name: r.Name, ID: r.Incarnation.NodeID()}
	}
	if r.Name == "" {
		r.Name = name
	}
	return r, nil
}

// store writes the identity, durably on return.
func (r record) store(fs vfs.FS, path string) error {
	b, err := encode(r)
	if err != nil {
		return fmt.Errorf("encode identity: %w", err)
	}
	if err := replace(fs, path, identityFile, b); err != nil {
		return fmt.Errorf("store identity: %w", err)
	}
	return nil
}
