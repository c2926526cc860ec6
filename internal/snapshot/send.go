package snapshot

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/time/rate"

	"github.com/musterhq/muster/internal/wire"
)

// SendOptions says how an image is sent.
type SendOptions struct {
	Limit       *rate.Limiter           // bytes a second; may be shared by several transfers; nil: none
	Progress    func(sent, total int64) // bytes that the receiver has, with those it had before; called by Send, often; may be nil
	Message     []byte                  // the marshalled raft MsgSnap, delivered with the image; at most 4 MiB
	IdleTimeout time.Duration           // the receiver may neither answer nor take bytes for so long; 0: 30 s
}

// Send offers an image on conn and streams what the receiver lacks. nil means
// that the receiver has all of it, verified and durable, and nothing else
// does. The image must be held (see [Store.Acquire]) meanwhile.
//
// The error is a *[Refusal] when the receiver didn't want it, [ErrDamaged]
// when the image itself has gone bad, [ErrStorage] when it can't be read; any
// other means that the connection broke, and sending again goes on where it
// ended. When ctx ends, conn is closed; otherwise closing it is up to the
// caller.
func Send(ctx context.Context, conn net.Conn, img *Image, opt SendOptions) error {
	if err := send(ctx, conn, img, opt); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("send snapshot at index %d: %w", img.Index, err)
	}
	return nil
}

func send(ctx context.Context, conn net.Conn, img *Image, opt SendOptions) error {
	if len(opt.Message) > maxMessage {
		return fmt.Errorf("%w: a message of %d bytes, more than %d", ErrInvalid, len(opt.Message), maxMessage)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	s := &sender{
		line: newLine(conn, opt.IdleTimeout), img: img, opt: opt, total: img.Size(),
		frame: append(make([]byte, wire.FrameHeaderLen), block(img.Size())...), replies: make(chan reply, 1), due: true,
	}
	if s.opt.Progress == nil {
		s.opt.Progress = func(int64, int64) {}
	}
	go s.listen()
	defer s.hush()
	return s.run(ctx)
}

// sender is the state of one Send.
type sender struct {
	line    *line
	img     *Image
	opt     SendOptions
	total   int64
	frame   []byte     // reused for what is sent
	sent    int64      // bytes that the receiver has, or that are under way
	replies chan reply // what the receiver said; closed by listen at its end

	mu   sync.Mutex
	due  bool // the receiver is to answer
	gone bool // nobody wants an answer any more
}

type reply struct {
	packet packet
	err    error
}

// listen reads what the receiver says until it is done, refuses or breaks off.
func (s *sender) listen() {
	defer close(s.replies)
	for {
		p, err := s.line.hear()
		if err == nil && p.Wait {
			s.extend()
			continue
		}
		if err == nil && p.Refused != nil {
			err = p.Refused
		}
		s.replies <- reply{p, err}
		if err != nil || p.Done {
			return
		}
	}
}

// extend gives a receiver that works more time.
func (s *sender) extend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.due && !s.gone {
		_ = s.line.await()
	}
}

// hush ends listen and waits for that.
func (s *sender) hush() {
	s.mu.Lock()
	s.gone = true
	_ = s.line.conn.SetReadDeadline(time.Unix(1, 0))
	s.mu.Unlock()
	for range s.replies { // until it is closed
	}
}

// expect says whether the receiver is to answer, and then within the idle time.
// Where no deadline can be set any more, listen has seen the end, or will.
func (s *sender) expect(due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due = due
	if due {
		_ = s.line.await()
	} else {
		_ = s.line.conn.SetReadDeadline(time.Time{})
	}
}

// answer waits for the receiver's next word.
func (s *sender) answer() (packet, error) {
	s.expect(true)
	r, ok := <-s.replies
	if !ok {
		return packet{}, io.ErrUnexpectedEOF
	}
	if r.err != nil {
		return packet{}, r.err
	}
	s.expect(false)
	return r.packet, nil
}

func (s *sender) run(ctx context.Context) error {
	offer := s.img.manifest().portable()
	err := s.line.say(packet{Offer: &offer})
	if err == nil {
		err = s.line.chunk(append(make([]byte, wire.FrameHeaderLen), s.opt.Message...))
	}
	if err != nil {
		return s.cause(err)
	}
	p, err := s.answer()
	if err != nil {
		return err
	}
	at := p.Have
	if at == nil || at.File < 0 || at.File > len(offer.Files) || at.Offset < 0 ||
		(at.File == len(offer.Files) && at.Offset > 0) || (at.File < len(offer.Files) && at.Offset > offer.Files[at.File].Size) {
		return fmt.Errorf("%w: the receiver's answer makes no sense", ErrInvalid)
	}
	for _, f := range offer.Files[:at.File] {
		s.sent += f.Size
	}
	s.sent += at.Offset
	s.opt.Progress(s.sent, s.total)
	for k, f := range offer.Files[at.File:] {
		offset := int64(0)
		if k == 0 {
			offset = at.Offset
		}
		if err := s.file(ctx, f, offset); err != nil {
			return s.cause(err)
		}
	}
	if p, err = s.answer(); err != nil {
		return err
	}
	if !p.Done {
		return fmt.Errorf("%w: the receiver's answer makes no sense", ErrInvalid)
	}
	return nil
}

// cause prefers what the receiver said to the failure of a write, which is
// often only its echo, and tells the receiver where the fault is here.
func (s *sender) cause(err error) error {
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrStorage) {
		_ = s.line.say(packet{Failed: err.Error()})
		return err
	}
	s.mu.Lock()
	s.due = false
	_ = s.line.conn.SetReadDeadline(time.Now().Add(min(time.Second, s.line.idle)))
	s.mu.Unlock()
	if r, ok := <-s.replies; ok {
		var refusal *Refusal
		if errors.As(r.err, &refusal) {
			return refusal
		}
	}
	return err
}

// file streams one file from the offset. Its checksum is compared where all of
// it is read; else the receiver does that.
func (s *sender) file(ctx context.Context, f File, offset int64) error {
	name := s.img.disk.join(s.img.Dir(), f.Path)
	src, err := s.img.disk.fs.Open(name, vfs.SequentialReadsOption)
	if err != nil {
		return storageError("open", name, err)
	}
	defer src.Close()
	sum, whole := crc32.New(castagnoli()), offset == 0
	for offset < f.Size {
		b := s.frame[wire.FrameHeaderLen:]
		b = b[:min(int64(len(b)), f.Size-offset, s.pace())]
		if err := s.throttle(ctx, len(b)); err != nil {
			return err
		}
		n, err := src.ReadAt(b, offset)
		if n < len(b) {
			if err == io.EOF {
				return fmt.Errorf("%w: %s ends at %d of %d bytes", ErrDamaged, name, offset+int64(n), f.Size)
			}
			return storageError("read", name, err)
		}
		sum.Write(b)
		if err := s.line.chunk(s.frame[:wire.FrameHeaderLen+n]); err != nil {
			return err
		}
		offset += int64(n)
		s.sent += int64(n)
		s.opt.Progress(s.sent, s.total)
	}
	if whole && sum.Sum32() != f.CRC32C {
		return fmt.Errorf("%w: %s: bytes 0 to %d: they have changed since they were written: the checksum is %08x, not %08x", ErrDamaged, name, f.Size, sum.Sum32(), f.CRC32C)
	}
	return nil
}

// pace is the largest chunk that keeps the receiver hearing something every
// quarter of a second, at the limited rate. Bytes.
func (s *sender) pace() int64 {
	if s.opt.Limit == nil || s.opt.Limit.Limit() == rate.Inf {
		return blockSize
	}
	return int64(max(1<<10, min(blockSize, float64(s.opt.Limit.Limit())/4)))
}

// throttle waits until the limit lets n bytes through.
func (s *sender) throttle(ctx context.Context, n int) error {
	for n > 0 && s.opt.Limit != nil {
		k := n
		if burst := s.opt.Limit.Burst(); burst > 0 {
			k = min(n, burst)
		}
		if err := s.opt.Limit.WaitN(ctx, k); err != nil {
			return fmt.Errorf("throttle: %w", err)
		}
		n -= k
	}
	return nil
}
