package snapshot

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"net"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/internal/wire"
)

// told is a connection on which the peer has said all that it will say, and
// hears nothing.
type told struct {
	net.Conn
	says *bytes.Reader
}

func (c told) Read(p []byte) (int, error)       { return c.says.Read(p) }
func (c told) Write(p []byte) (int, error)      { return len(p), nil }
func (c told) SetReadDeadline(time.Time) error  { return nil }
func (c told) SetWriteDeadline(time.Time) error { return nil }
func (c told) Close() error                     { return nil }

// FuzzReceive: whatever a sender says in whole frames, half an image is never
// visible, and what is visible is what the offer promised.
func FuzzReceive(f *testing.F) {
	body := []byte("0123456789")
	offer, err := json.Marshal(packet{Offer: &manifest{Version: manifestVersion, Meta: testMeta(3), Files: []File{
		{Path: "a/b", Size: 10, CRC32C: crc32.Checksum(body, castagnoli())}, {Path: "c", Size: 0},
	}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(offer, []byte("message"), body)
	f.Add(offer, []byte(nil), body[:5])
	f.Add([]byte(`{"wait":true}`), []byte(nil), []byte(nil))
	f.Add([]byte(`{"offer":{"version":1,"meta":{"index":"x"},"files":[{"path":"../a","size":-1}]}}`), []byte(nil), body)
	f.Fuzz(func(t *testing.T, offer, message, chunk []byte) {
		said := wire.AppendFrame(nil, wire.KindSnapshot, offer)
		said = wire.AppendFrame(said, wire.KindChunk, message)
		said = wire.AppendFrame(said, wire.KindChunk, chunk)
		fs := crashfs.New()
		s := openStore(t, fs, "/s")
		img, _, err := s.Receive(t.Context(), told{says: bytes.NewReader(said)}, ReceiveOptions{})
		if (err == nil) != (s.Newest() != nil) || err == nil && img.Verify() != nil {
			t.Fatalf("%v, and the newest is %v", err, s.Newest())
		}
		again, err := Open("/s", fs.Crash(crashfs.None, 1))
		if err != nil || (again.Newest() == nil) != (s.Newest() == nil) {
			t.Fatalf("after a crash: %v", err)
		}
	})
}

// FuzzAnswers: whatever a receiver answers, Send ends, and takes nothing but
// "done" at the end for success.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"have":{"file":0,"offset":0}}`), []byte(`{"done":true}`))
	f.Add([]byte(`{"have":{"file":9,"offset":-1}}`), []byte(`{"wait":true}`))
	f.Add([]byte(`{"have":{"file":1,"offset":700}}`), []byte(`{"refused":{"code":"no_space","reason":"full"}}`))
	img := mustCommit(f, openStore(f, crashfs.New(), "/from"), 20, atIndex[20])
	f.Fuzz(func(t *testing.T, first, second []byte) {
		said := wire.AppendFrame(nil, wire.KindSnapshot, first)
		said = wire.AppendFrame(said, wire.KindSnapshot, second)
		err := Send(t.Context(), told{says: bytes.NewReader(said)}, img, SendOptions{})
		var have, done packet
		if err == nil && (json.Unmarshal(first, &have) != nil || json.Unmarshal(second, &done) != nil || have.Have == nil || !done.Done) {
			t.Fatalf("%q and %q were taken for success", first, second)
		}
	})
}

// FuzzProgress finds a receipt with any PROGRESS record, under a checksum that
// is right, and any bytes of the first file: no more of it is believed than the
// record and the bytes bear out.
func FuzzProgress(f *testing.F) {
	whole := atIndex[20]["a"]
	f.Add(uint64(0), uint64(500), crc32.Checksum(whole[:500], castagnoli()), whole[:500])
	f.Add(uint64(1), uint64(1)<<63, uint32(7), whole)
	f.Add(uint64(0), uint64(5000), uint32(7), []byte("x"))
	offer := mustCommit(f, openStore(f, crashfs.New(), "/from"), 20, atIndex[20]).manifest().portable()
	token, err := offer.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, file, offset uint64, crc uint32, data []byte) {
		rec := binary.LittleEndian.AppendUint64(nil, file)
		rec = binary.LittleEndian.AppendUint64(rec, offset)
		rec = binary.LittleEndian.AppendUint32(rec, crc)
		rec = binary.LittleEndian.AppendUint32(rec, crc32.Checksum(rec, castagnoli()))
		fs := crashfs.New()
		err := fs.MkdirAll("/s/receipt/data", 0o700)
		for name, b := range map[string][]byte{offerName: token, progressName: rec, "data/a": data} {
			err = errors.Join(err, fs.WriteFile("/s/receipt/"+name, b))
		}
		if err != nil {
			t.Fatal(err)
		}
		r, err := openStore(t, fs, "/s").openReceipt(offer)
		switch {
		case err != nil:
			t.Fatal(err)
		case r.file > 1 || r.file == 1 && (!bytes.Equal(data, whole) || r.offset > 0):
			t.Fatalf("file %d, offset %d: more than there is", r.file, r.offset)
		case r.offset > 0 && (uint64(r.offset) != offset || offset > uint64(len(data)) || r.sum.Sum32() != crc || crc32.Checksum(data[:offset], castagnoli()) != crc):
			t.Fatalf("offset %d of %d bytes, noted %d", r.offset, len(data), offset)
		}
	})
}
