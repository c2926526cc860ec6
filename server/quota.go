package server

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/internal/etcdapi"
	"github.com/musterhq/muster/internal/lessor"
	"github.com/musterhq/muster/kv"
)

// store is what a server needs of a *kv.Store.
type store interface {
	etcdapi.Store
	lessor.Store
	Used() int64
	Written() int64
	Reclaim(ctx context.Context) error
}

// quota bounds the store of this member. What is used is measured now and then,
// and what was written since is added. Whoever is refused raises the alarm
// NOSPACE, and so does tend, for a member that nobody asks for anything.
type quota struct {
	limit int64 // bytes
	store store
	base  atomic.Int64 // used at the last measurement, less what had been written by then
	lacks atomic.Int64 // cost of the last request that was refused, until there is room for as much

	tried     time.Time     // when space was last reclaimed
	pause     time.Duration // before it is again
	compacted int64         // history was compacted up to there then
}

func newQuota(limit int64, store store) *quota {
	q := &quota{limit: limit, store: store}
	q.measure()
	return q
}

func (q *quota) measure() (used int64) {
	written := q.store.Written() // first: what comes in between is counted twice, and not missed
	used = q.store.Used()
	q.base.Store(used - written)
	if used+q.lacks.Load() < q.limit {
		q.lacks.Store(0)
	}
	return used
}

// withQuota gives the services the quota, if there is one.
func (s *Server) withQuota(c etcdapi.Config) etcdapi.Config {
	if s.cfg.Limits.QuotaBytes > 0 {
		s.quota = newQuota(s.cfg.Limits.QuotaBytes, s.store)
		c.Quota = s.quota
	}
	return c
}

// Admit implements etcdapi.Quota.
func (q *quota) Admit(cost int64) bool {
	if q.base.Load()+q.store.Written()+cost < q.limit {
		return true
	}
	q.lacks.Store(cost)
	return false
}

// Limit implements etcdapi.Quota.
func (q *quota) Limit() int64 { return q.limit }

// How often the store is measured, and how long after one attempt to reclaim
// space the next one is made: at first, and at most, when little came of it.
const (
	quotaEvery   = time.Second
	reclaimFirst = 5 * time.Second
	reclaimMost  = 10 * time.Minute
)

// short: of what is used the quota is exceeded, or would be with what was asked
// for last, or the alarm is raised. Each of these may be so without the others:
// what is refused never gets into the store, and an alarm is soon disarmed.
func (q *quota) short(used int64) bool {
	return used+q.lacks.Load() >= q.limit || slices.ContainsFunc(q.store.Alarms(), func(a *pb.AlarmMember) bool {
		return a.GetAlarm() == pb.AlarmType_NOSPACE
	})
}

// Reclaim implements etcdapi.Quota.
func (q *quota) Reclaim(ctx context.Context) error {
	if !q.short(q.measure()) {
		return nil
	}
	defer q.measure()
	return q.store.Reclaim(ctx)
}

// tend measures, and says whether the quota is exceeded. While space is short it
// is reclaimed, so that it is enough to delete and to compact, as the engine
// alone would take its time.
func (q *quota) tend(ctx context.Context, now time.Time) (exceeded bool) {
	used := q.measure()
	if !q.short(used) {
		q.pause = 0
		return false
	}
	if !q.due(now) {
		return used >= q.limit
	}
	q.tried = now
	_ = q.store.Reclaim(ctx) // a store that can't be written to stops by itself
	after := q.measure()
	if q.pause = max(q.pause, reclaimFirst); after > used-used/100 {
		q.pause = min(2*q.pause, reclaimMost)
	}
	return after >= q.limit
}

// due: at once when more was compacted, else after the pause.
func (q *quota) due(now time.Time) bool {
	_, compacted := q.store.Revision()
	if compacted != q.compacted {
		q.compacted, q.pause = compacted, 0
	}
	return now.Sub(q.tried) >= q.pause
}

// keepQuota tends the quota until ctx ends.
func (s *Server) keepQuota(ctx context.Context) {
	tick := time.NewTicker(quotaEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if s.quota.tend(ctx, now) {
				s.raise(ctx, pb.AlarmType_NOSPACE, uint64(s.node.Glance().KnownAs()))
			}
		}
	}
}

// raise raises an alarm, unless it is raised already.
func (s *Server) raise(ctx context.Context, kind pb.AlarmType, member uint64) {
	if holds(s.store.Alarms(), &pb.AlarmMember{Alarm: kind, MemberID: member}) || s.node.Status().ClusterID.IsZero() {
		return
	}
	cmd, err := kv.EncodeAlarm(&pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, Alarm: kind, MemberID: member})
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
		defer cancel()
		_, err = s.node.Propose(ctx, cmd)
	}
	if err != nil {
		s.log.Warn("an alarm could not be raised; trying again", "alarm", kind.String(), "err", err)
	}
}
