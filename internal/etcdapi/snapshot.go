package etcdapi

import (
	"context"
	"crypto/sha256"
	"hash"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// snapshotChunk bounds what one message of a snapshot holds, in bytes.
const snapshotChunk = 64 << 10

const (
	// maxSnapshots go to clients at once: each keeps on disk what the store has
	// replaced since.
	maxSnapshots = 4
	// snapshotPatience is how long a client may leave one message of a snapshot untaken.
	snapshotPatience = 5 * time.Minute
)

// snapshots are those that go to clients.
type snapshots struct {
	slots    chan struct{}
	limit    *rate.Limiter // that all share; nil: none
	patience time.Duration
}

func newSnapshots(bytesPerSecond int64) snapshots {
	return snapshots{slots: make(chan struct{}, maxSnapshots), limit: snapshotLimit(bytesPerSecond), patience: snapshotPatience}
}

// Snapshot implements etcd's Maintenance.Snapshot: one consistent image of this
// member's store, of everything that was applied when it was asked for, in the
// format of package backup, with its SHA-256 at the end. What it takes on disk is
// given back when the client has it, is gone, or takes nothing for too long.
func (s *maintenanceService) Snapshot(_ *pb.SnapshotRequest, out grpc.ServerStreamingServer[pb.SnapshotResponse]) error {
	select {
	case s.snapshots.slots <- struct{}{}:
	default:
		return status.Errorf(codes.ResourceExhausted, "muster: %d snapshots are being sent by this member already: try again when one is done, or ask another member", maxSnapshots)
	}
	w := &snapshotWriter{ctx: out.Context(), out: out, sum: sha256.New(), limit: s.snapshots.limit}
	done := make(chan error, 1)
	go func() { // ends with the stream, which gRPC ends when this method has returned
		defer func() { <-s.snapshots.slots }()
		done <- s.sendSnapshot(w)
	}()
	patience := s.snapshots.patience
	tick := time.NewTicker(patience / 4)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return s.toGRPC(err)
		case now := <-tick.C:
			if w.waits(now) > patience {
				return status.Errorf(codes.DeadlineExceeded, "muster: the snapshot is given up: its client has taken nothing for %s", patience)
			}
		}
	}
}

func (s *maintenanceService) sendSnapshot(w *snapshotWriter) error {
	b, err := s.cfg.Store.Backup()
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }() // else the next start deletes it
	if w.left, err = b.Size(); err != nil {
		return err
	}
	if err := b.Write(w.ctx, w); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	return w.send(&pb.SnapshotResponse{Blob: w.sum.Sum(nil), Version: storageVersion})
}

// snapshotWriter sends what is written to it, in messages that say how much is
// to come.
type snapshotWriter struct {
	ctx   context.Context // of the stream
	out   grpc.ServerStreamingServer[pb.SnapshotResponse]
	left  int64 // bytes not sent yet
	sum   hash.Hash
	limit *rate.Limiter // nil: none
	buf   []byte        // not sent yet, less than a message
	since atomic.Int64  // when the message was given to gRPC that is not taken yet, in Unix nanoseconds; 0: there is none
}

// waits is for how long the client has taken nothing.
func (w *snapshotWriter) waits(now time.Time) time.Duration {
	if since := w.since.Load(); since != 0 {
		return now.Sub(time.Unix(0, since))
	}
	return 0
}

func (w *snapshotWriter) send(m *pb.SnapshotResponse) error {
	w.since.Store(time.Now().UnixNano())
	defer w.since.Store(0)
	return w.out.Send(m)
}

// Write implements io.Writer.
func (w *snapshotWriter) Write(b []byte) (n int, err error) {
	for n < len(b) {
		if w.buf == nil {
			w.buf = make([]byte, 0, snapshotChunk) // gRPC keeps what it is given
		}
		m := min(len(b)-n, cap(w.buf)-len(w.buf))
		w.buf = append(w.buf, b[n:n+m]...)
		n += m
		if len(w.buf) == cap(w.buf) {
			if err := w.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (w *snapshotWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	if w.limit != nil {
		if err := w.limit.WaitN(w.ctx, len(w.buf)); err != nil {
			return err
		}
	}
	w.sum.Write(w.buf)
	w.left -= int64(len(w.buf))
	err := w.send(&pb.SnapshotResponse{RemainingBytes: uint64(w.left), Blob: w.buf, Version: storageVersion})
	w.buf = nil
	return err
}

// snapshotLimit is the throttle that all snapshots share; nil for none.
func snapshotLimit(bytesPerSecond int64) *rate.Limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(bytesPerSecond), max(snapshotChunk, int(bytesPerSecond/4)))
}
