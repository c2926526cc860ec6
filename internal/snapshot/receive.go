package snapshot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/musterhq/muster/internal/wire"
)

// ReceiveOptions says how an image is received.
type ReceiveOptions struct {
	Progress    func(img Meta, have, total int64) // bytes, with those that were there before; called by Receive, often; may be nil
	IdleTimeout time.Duration                     // the sender may be silent for so long; 0: 30 s
	Accept      func(Meta) error                  // nil lets it in; the error is told to the sender; nil func: all
}

// Receive takes the image that the peer on conn offers with [Send], and returns
// it with the sender's message when it is the newest of the store, verified and
// durable. An image that is there already is returned at once. One Receive runs at a
// time; another is [ErrBusy].
//
// After an error none of it is visible. What came in stays for the next
// Receive of the same image when the connection broke, also after a restart; it
// is discarded when the disk failed ([ErrStorage]) or is full ([ErrNoSpace]), or
// when another image is offered. Other errors: [ErrStale], with which the
// message comes too, [ErrInvalid], [ErrDamaged], and the one from Accept. When ctx ends, conn is closed; otherwise
// closing it is up to the caller.
func (s *Store) Receive(ctx context.Context, conn net.Conn, opt ReceiveOptions) (*Image, []byte, error) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if opt.Progress == nil {
		opt.Progress = func(Meta, int64, int64) {}
	}
	l := newLine(conn, opt.IdleTimeout)
	img, message, err := s.receive(l, opt)
	if err != nil {
		if r := refusalFor(err); r != nil {
			l.refuse(r)
		}
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%w)", context.Cause(ctx), err)
		}
		if !errors.Is(err, ErrStale) {
			message = nil
		}
		return nil, message, fmt.Errorf("receive snapshot: %w", err)
	}
	// It is ours whether or not the sender hears of it: it will ask again.
	_ = l.say(packet{Done: true})
	return img, message, nil
}

func (s *Store) receive(l *line, opt ReceiveOptions) (*Image, []byte, error) {
	offer, message, err := readOffer(l)
	if err != nil {
		return nil, nil, err
	}
	if !s.begin() {
		return nil, nil, ErrBusy
	}
	defer s.end()
	if opt.Accept != nil {
		if err := opt.Accept(offer.Meta); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", errDeclined, err)
		}
	}
	if i, err := s.beside(offer.Meta); err != nil {
		return nil, message, err
	} else if i != nil {
		opt.Progress(i.Meta, i.Size(), i.Size())
		return i, message, l.say(packet{Have: &have{File: len(offer.Files)}})
	}
	var r *receipt
	err = l.during(func() error {
		r, err = s.openReceipt(offer)
		return err
	})
	if err != nil {
		return nil, nil, s.giveUp(err)
	}
	img, err := s.fill(l, r, opt)
	if err != nil {
		return nil, message, s.giveUp(err)
	}
	return img, message, nil
}

// begin takes the one place for a transfer.
func (s *Store) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.receiving {
		return false
	}
	s.receiving = true
	return true
}

func (s *Store) end() {
	s.mu.Lock()
	s.receiving = false
	s.mu.Unlock()
}

func readOffer(l *line) (manifest, []byte, error) {
	if err := l.await(); err != nil {
		return manifest{}, nil, err
	}
	p, err := l.hear()
	if err != nil {
		return manifest{}, nil, fmt.Errorf("read the offer: %w", err)
	}
	if p.Offer == nil {
		return manifest{}, nil, fmt.Errorf("read the offer: %w: something else was said", wire.ErrCorruptFrame)
	}
	message, err := l.hearChunk(maxMessage)
	if err != nil {
		return manifest{}, nil, fmt.Errorf("read the message: %w", err)
	}
	return p.Offer.portable(), append([]byte(nil), message...), p.Offer.check()
}

// fill takes in what the receipt lacks and makes an image of it.
func (s *Store) fill(l *line, r *receipt, opt ReceiveOptions) (*Image, error) {
	total := r.offer.total()
	if err := s.room(total - r.have()); err != nil {
		return nil, err
	}
	if err := l.say(packet{Have: &have{r.file, r.offset}}); err != nil {
		return nil, err
	}
	opt.Progress(r.offer.Meta, r.have(), total)
	for r.file < len(r.offer.Files) {
		if err := r.begin(); err != nil {
			return nil, err
		}
		for left := r.left(); left > 0; left = r.left() {
			b, err := l.hearChunk(int(min(left, blockSize)))
			if err != nil {
				return nil, fmt.Errorf("at byte %d of %d: %w", r.have(), total, err)
			}
			if err := r.write(b, s.markBytes); err != nil {
				return nil, err
			}
			opt.Progress(r.offer.Meta, r.have(), total)
		}
		if err := l.during(func() error { return r.finish(s.markBytes) }); err != nil {
			return nil, err
		}
	}
	var img *Image
	err := l.during(func() (err error) {
		img, err = s.complete(r)
		return err
	})
	return img, err
}

// giveUp keeps what came in where it can be trusted later, and else discards it.
func (s *Store) giveUp(cause error) error {
	r := s.receipt
	if r == nil {
		return cause
	}
	if errors.Is(cause, ErrStorage) || errors.Is(cause, ErrNoSpace) || errors.Is(cause, ErrStale) {
		return errors.Join(cause, s.dropReceipt())
	}
	if err := r.suspend(); err != nil {
		return errors.Join(cause, err, s.dropReceipt())
	}
	return cause
}

// room says early, and not half-way, that the disk is too small.
func (s *Store) room(need int64) error {
	usage, err := s.disk.fs.GetDiskUsage(s.dir)
	if err != nil {
		return nil // not known here: the writes will tell
	}
	if need > 0 && uint64(need) > usage.AvailBytes {
		return fmt.Errorf("%w: %d bytes are still to come and %d are free in %s; free some space there, it is tried again",
			ErrNoSpace, need, usage.AvailBytes, s.dir)
	}
	return nil
}
