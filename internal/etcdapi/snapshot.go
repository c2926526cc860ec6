package etcdapi

import (
	"context"
	"crypto/sha256"
	"hash"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
)

// snapshotChunk bounds what one message of a snapshot holds, in bytes.
const snapshotChunk = 64 << 10

// Snapshot implements etcd's Maintenance.Snapshot: one consistent image of this
// member's store, of everything that was applied when it was asked for, in the
// format of package backup, with its SHA-256 at the end. What it takes on disk is
// given back when the client has it or is gone.
func (s *maintenanceService) Snapshot(_ *pb.SnapshotRequest, out grpc.ServerStreamingServer[pb.SnapshotResponse]) error {
	b, err := s.cfg.Store.Backup()
	if err != nil {
		return s.toGRPC(err)
	}
	defer func() { _ = b.Close() }() // else the next start deletes it
	size, err := b.Size()
	if err != nil {
		return s.toGRPC(err)
	}
	w := &snapshotWriter{ctx: out.Context(), out: out, left: size, sum: sha256.New(), limit: s.snapshots}
	if err := b.Write(out.Context(), w); err != nil {
		return s.toGRPC(err)
	}
	if err := w.flush(); err != nil {
		return s.toGRPC(err)
	}
	return out.Send(&pb.SnapshotResponse{Blob: w.sum.Sum(nil), Version: storageVersion})
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
	err := w.out.Send(&pb.SnapshotResponse{RemainingBytes: uint64(w.left), Blob: w.buf, Version: storageVersion})
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
