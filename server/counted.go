package server

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/statemachine"
)

// tally is what is counted on the way of requests for /metrics.
type tally struct {
	rpc             *rpcMetrics
	healthy, sick   atomic.Uint64            // answers of /health
	failed          atomic.Uint64            // proposals
	received, sent  atomic.Uint64            // bytes of gRPC's clients
	logSync, commit prometheus.Histogram     // of the log to disk, and of commands into the store
	trips           *prometheus.HistogramVec // to other members and back
	known           atomic.Pointer[member]   // for the IDs by which clients know members; nil before there is a node
	failedReadIndex atomic.Uint64
}

func newTally(extensive bool) *tally {
	return &tally{
		rpc:     newRPCMetrics(extensive),
		logSync: newDuration("etcd_disk_wal_fsync_duration_seconds", "The latency distributions of fsync called by WAL."),
		commit:  newDuration("etcd_disk_backend_commit_duration_seconds", "The latency distributions of commit called by backend."),
		trips:   newTrips(),
	}
}

// newDuration is of something that the disk does, with etcd's buckets.
func newDuration(name, help string) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(0.001, 2, 14)})
}

// attended is the node, with what the server adds to it: it counts the proposals
// and reads that came to nothing, and its reasons tell of the alarms that are
// raised, which are the store's, of which the node knows nothing.
type attended struct {
	member
	alarms func() []*pb.AlarmMember
	t      *tally
}

// Why implements member.
func (n attended) Why() []event.Reason {
	out := n.member.Why()
	if raised := n.alarms(); len(raised) > 0 {
		out = append(out[:len(out):len(out)], WhyAlarms(n.Status(), raised)...)
	}
	return out
}

// Propose implements member.
func (n attended) Propose(ctx context.Context, command []byte) (statemachine.Result, error) {
	r, err := n.member.Propose(ctx, command)
	if err != nil && !errors.Is(err, muster.ErrTooLarge) { // that one was never proposed
		n.t.failed.Add(1)
	}
	return r, err
}

// ReadIndex implements member.
func (n attended) ReadIndex(ctx context.Context) (uint64, error) {
	i, err := n.member.ReadIndex(ctx)
	if err != nil {
		n.t.failedReadIndex.Add(1)
	}
	return i, err
}

// health counts what a health check answers.
func (t *tally) health(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := &codeWriter{ResponseWriter: w, code: http.StatusOK}
		next(c, r)
		if c.code == http.StatusOK {
			t.healthy.Add(1)
		} else {
			t.sick.Add(1)
		}
	}
}

type codeWriter struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements http.ResponseWriter.
func (c *codeWriter) WriteHeader(code int) {
	c.code = code
	c.ResponseWriter.WriteHeader(code)
}
