package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// receipt is an image on its way in: a directory that holds the files before
// file whole, and the first offset bytes of that one. Where an operation on
// the disk fails, it is dropped and nothing in it is used again.
type receipt struct {
	disk  disk
	dir   string
	offer manifest
	token []byte // the encoded offer: what makes two offers the same

	file   int         // files before it are there, verified and synced
	before int64       // bytes in these
	offset int64       // bytes of that file which are written
	sum    hash.Hash32 // over these
	open   vfs.File    // that file; nil between files and while suspended
	noted  int64       // have() as of the last note: so much a crash can't take
	dirty  []string    // directories with names in them that are not durable yet; no duplicates
}

// Names inside the receipt's directory.
const (
	offerName    = "OFFER"
	progressName = "PROGRESS"
)

// The PROGRESS file, written over in place, durable only after what it tells:
//
//	file uint64 LE | offset uint64 LE | crc32c of these bytes of the file uint32 LE | crc32c of this record uint32 LE
//
// A record that is torn, or that doesn't fit the file, is worth nothing: the
// file is then received again from its start.
const progressSize = 24

// resumable says whether the receipt directory holds an offer that can be read.
func (s *Store) resumable() bool {
	_, _, err := s.readOffer()
	return err == nil
}

func (s *Store) receiptDir() string { return s.disk.join(s.dir, receiptName) }

func (s *Store) readOffer() (m manifest, token []byte, err error) {
	token, err = s.disk.readFile(s.disk.join(s.receiptDir(), offerName), maxManifest+int64(manifestHead))
	if err == nil {
		m, err = decodeManifest(token)
	}
	return m, token, err
}

// openReceipt continues the receipt of the very same offer, or begins a new
// one in place of what was there.
func (s *Store) openReceipt(offer manifest) (*receipt, error) {
	token, err := offer.encode()
	if err != nil {
		return nil, err
	}
	if s.receipt != nil && bytes.Equal(s.receipt.token, token) {
		return s.receipt, nil
	}
	r := &receipt{disk: s.disk, dir: s.receiptDir(), offer: offer, token: token, sum: crc32.New(castagnoli())}
	if s.receipt == nil {
		if _, old, err := s.readOffer(); err == nil && bytes.Equal(old, token) {
			s.receipt = r // dropped when the disk fails in verify
			return r, r.verify()
		}
	}
	if err := s.dropReceipt(); err != nil {
		return nil, err
	}
	s.receipt = r
	return r, r.create(s.dir)
}

func (s *Store) dropReceipt() error {
	if r := s.receipt; r != nil && r.open != nil {
		_ = r.open.Close()
	}
	s.receipt = nil
	return s.disk.remove(s.receiptDir())
}

// dropOvertaken drops a receipt that nobody will offer again, because the newest
// image is as new. While a Receive is under way that is its own affair.
func (s *Store) dropOvertaken() error {
	if !s.begin() {
		return nil
	}
	defer s.end()
	offer, _, err := s.readOffer()
	if newest := s.Newest(); err != nil || newest == nil || newest.Index < offer.Meta.Index {
		return nil
	}
	return s.dropReceipt()
}

// create makes the directory with the offer in it, durably.
func (r *receipt) create(root string) error {
	if err := r.disk.mkdir(r.disk.join(r.dir, dataDir)); err != nil {
		return err
	}
	if err := r.disk.writeFile(r.disk.join(r.dir, offerName), r.token); err != nil {
		return err
	}
	if err := r.disk.syncDir(r.dir); err != nil {
		return err
	}
	return r.disk.syncDir(root)
}

// verify finds out, after a restart, how much of the receipt can be relied on:
// whole files by their checksum, then a prefix of one file by the last mark.
func (r *receipt) verify() error {
	for ; r.file < len(r.offer.Files); r.file++ {
		f := r.offer.Files[r.file]
		info, err := r.disk.fs.Stat(r.name())
		if err != nil || info.Size() < f.Size {
			break
		}
		// Synced, because that may not have happened before the restart.
		_, crc, err := r.disk.checksum(r.name(), true)
		if err != nil {
			return err
		}
		if crc != f.CRC32C {
			break
		}
		r.before += f.Size
	}
	if r.file == len(r.offer.Files) {
		return nil
	}
	offset, want := r.mark()
	if offset == 0 || offset > r.offer.Files[r.file].Size || !r.disk.exists(r.name()) {
		return nil
	}
	return r.continueAt(offset, want)
}

// continueAt takes the first offset bytes of the current file for written, if
// their checksum is the one that was noted.
func (r *receipt) continueAt(offset int64, want uint32) error {
	f, err := r.disk.fs.Open(r.name())
	if err != nil {
		return storageError("open", r.name(), err)
	}
	defer f.Close()
	sum := crc32.New(castagnoli())
	size, err := io.CopyBuffer(sum, io.LimitReader(f, offset), block(offset))
	if err != nil {
		return storageError("read", r.name(), err)
	}
	if size == offset && sum.Sum32() == want {
		r.offset, r.sum = offset, sum
		r.noted = r.have()
	}
	return nil
}

// name is the current file's.
func (r *receipt) name() string {
	return r.disk.join(r.disk.join(r.dir, dataDir), r.offer.Files[r.file].Path)
}

// have is the number of bytes that are there.
func (r *receipt) have() int64 { return r.before + r.offset }

// left is how many bytes of the current file are missing.
func (r *receipt) left() int64 { return r.offer.Files[r.file].Size - r.offset }

// begin opens the current file for writing from offset on.
func (r *receipt) begin() error {
	dir := r.disk.fs.PathDir(r.name())
	if err := r.disk.mkdir(dir); err != nil {
		return err
	}
	for rel := path.Dir(r.offer.Files[r.file].Path); ; rel = path.Dir(rel) {
		if !slices.Contains(r.dirty, rel) {
			r.dirty = append(r.dirty, rel)
		}
		if rel == "." {
			break
		}
	}
	if r.offset == 0 { // whatever is there is not ours, or damaged
		if err := r.disk.remove(r.name()); err != nil {
			return err
		}
	}
	var err error
	r.open, err = r.disk.fs.OpenReadWrite(r.name(), vfs.WriteCategoryUnspecified)
	return storageError("create", r.name(), err)
}

// write appends to the current file; b may be changed.
func (r *receipt) write(b []byte, markBytes int64) error {
	r.sum.Write(b)
	if _, err := r.open.WriteAt(b, r.offset); err != nil {
		return storageError("write", r.name(), err)
	}
	r.offset += int64(len(b))
	if r.have()-r.noted < markBytes || r.left() == 0 {
		return nil
	}
	if err := r.open.SyncData(); err != nil {
		return storageError("sync", r.name(), err)
	}
	return r.note()
}

// finish checks the current file, which is complete, and makes it durable.
func (r *receipt) finish(markBytes int64) error {
	f := r.offer.Files[r.file]
	err := r.open.Sync()
	err = errors.Join(err, r.open.Close())
	r.open = nil
	if err != nil {
		return storageError("sync", r.name(), err)
	}
	crc := r.sum.Sum32()
	r.offset = 0
	r.sum.Reset()
	if crc != f.CRC32C {
		return fmt.Errorf("%w: file %q arrived with checksum %08x, not %08x", ErrDamaged, f.Path, crc, f.CRC32C)
	}
	r.file++
	r.before += f.Size
	if r.have()-r.noted < markBytes {
		return nil
	}
	r.noted = r.have()
	return r.syncNames()
}

// suspend leaves the receipt so that it can be continued, by this process or
// after a restart.
func (r *receipt) suspend() error {
	if r.open == nil {
		return nil
	}
	err := r.open.Sync()
	err = errors.Join(err, r.open.Close())
	r.open = nil
	if err != nil {
		return storageError("sync", r.name(), err)
	}
	return r.note()
}

// syncNames makes the names of all files so far durable; their bytes are.
func (r *receipt) syncNames() error {
	slices.SortFunc(r.dirty, func(a, b string) int { return strings.Compare(b, a) }) // below comes before above
	for _, rel := range r.dirty {
		if err := r.disk.syncDir(r.disk.join(r.disk.join(r.dir, dataDir), rel)); err != nil {
			return err
		}
	}
	r.dirty = r.dirty[:0]
	return nil
}

// note writes durably how far the current file is, whose bytes are synced.
func (r *receipt) note() error {
	if err := r.syncNames(); err != nil {
		return err
	}
	rec := make([]byte, 0, progressSize)
	rec = binary.LittleEndian.AppendUint64(rec, uint64(r.file))
	rec = binary.LittleEndian.AppendUint64(rec, uint64(r.offset))
	rec = binary.LittleEndian.AppendUint32(rec, r.sum.Sum32())
	rec = binary.LittleEndian.AppendUint32(rec, crc32.Checksum(rec, castagnoli()))
	name := r.disk.join(r.dir, progressName)
	f, err := r.disk.fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err == nil {
		if _, err = f.WriteAt(rec, 0); err == nil {
			err = f.Sync()
		}
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return storageError("write", name, err)
	}
	r.noted = r.have()
	return r.disk.syncDir(r.dir)
}

// mark reads what note wrote, if it is about the current file.
func (r *receipt) mark() (offset int64, crc uint32) {
	b, err := r.disk.readFile(r.disk.join(r.dir, progressName), progressSize)
	if err != nil || len(b) != progressSize || crc32.Checksum(b[:20], castagnoli()) != binary.LittleEndian.Uint32(b[20:]) {
		return 0, 0
	}
	if binary.LittleEndian.Uint64(b) != uint64(r.file) {
		return 0, 0
	}
	return int64(binary.LittleEndian.Uint64(b[8:])), binary.LittleEndian.Uint32(b[16:])
}

// complete makes an image of a receipt that has every file.
func (s *Store) complete(r *receipt) (*Image, error) {
	data := s.disk.join(r.dir, dataDir)
	_, dirs, err := s.disk.tree(data)
	if err != nil {
		return nil, err
	}
	if err := s.disk.syncTree(data, dirs); err != nil {
		return nil, err
	}
	m := r.offer
	m.Files = slices.Clone(m.Files)
	for i := range m.Files {
		name := s.disk.join(data, m.Files[i].Path)
		info, err := s.disk.fs.Stat(name)
		if err != nil {
			return nil, storageError("stat", name, err)
		}
		if info.Size() != m.Files[i].Size {
			return nil, fmt.Errorf("%w: %s has %d bytes, not %d", ErrDamaged, name, info.Size(), m.Files[i].Size)
		}
		m.Files[i].Modified = info.ModTime().UnixNano()
	}
	if err := s.seal(r.dir, m); err != nil {
		return nil, err
	}
	img, err := s.publish(r.dir, m)
	if err != nil {
		return nil, err
	}
	s.receipt = nil
	_ = s.disk.remove(r.dir) // there only if the image came from elsewhere meanwhile
	for _, name := range []string{offerName, progressName} {
		_ = s.disk.remove(s.disk.join(img.dir, name)) // of no use, of no harm
	}
	return img, nil
}
