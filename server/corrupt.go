package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/kv"
)

// hashQuestion asks another member for the hash of its keys. Begun by askHash.
type hashQuestion struct {
	Revision int64 `json:"revision"`
}

// hashAnswer is what it says.
type hashAnswer struct {
	Hash      uint32 `json:"hash"`
	Compacted int64  `json:"compacted"`
	Behind    bool   `json:"behind,omitempty"` // it has no such revision yet
	Gone      bool   `json:"gone,omitempty"`   // it has compacted it
}

// hashes is what hashes are taken of.
type hashes interface {
	HashKV(ctx context.Context, rev int64) (kv.KeysHash, error)
}

// answerHash answers a question of another member, or of this one.
func answerHash(ctx context.Context, s hashes, body []byte) ([]byte, error) {
	var q hashQuestion
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, fmt.Errorf("%w: no question for a hash: %w", muster.ErrRefused, err)
	}
	h, err := s.HashKV(ctx, q.Revision)
	a := hashAnswer{Hash: h.Sum, Compacted: h.Compacted}
	switch {
	case errors.Is(err, kv.ErrFutureRev):
		a = hashAnswer{Behind: true}
	case errors.Is(err, kv.ErrCompacted):
		a = hashAnswer{Gone: true}
	case err != nil:
		return nil, err
	}
	return json.Marshal(a)
}

// checker compares what the members hold.
type checker struct {
	node  member
	store store
	retry time.Duration // before a member that is behind is asked again
}

// verdict is what a comparison has found.
type verdict struct {
	Revision int64
	Compared int              // members, this one among them
	Differ   []cluster.NodeID // from what more than half of the members hold; sorted
	Unclear  bool             // they differ, and no half agrees
}

// compare asks all members for the hash of their keys as of this one's current
// revision. Those that don't answer in time, or that have compacted otherwise at
// that moment, are left out.
func (c *checker) compare(ctx context.Context) (verdict, error) {
	if _, err := c.node.ReadIndex(ctx); err != nil {
		return verdict{}, err
	}
	own, err := c.store.HashKV(ctx, 0)
	if err != nil {
		return verdict{}, err
	}
	st := c.node.Status()
	answers := make([]*hashAnswer, len(st.Members))
	var group sync.WaitGroup
	for i, m := range st.Members {
		if m.ID == st.Self.ID {
			answers[i] = &hashAnswer{Hash: own.Sum, Compacted: own.Compacted}
			continue
		}
		group.Go(func() { answers[i] = c.ask(ctx, m.ID, own.Revision) })
	}
	group.Wait()
	v := judge(st.Members, answers, own.Compacted)
	v.Revision = own.Revision
	return v, nil
}

// behindTries is how often a member that is behind is asked: the others are not to
// wait for one that stays behind until the check is given up.
const behindTries = 60

// ask asks one member, again while it is behind; nil: it didn't say.
func (c *checker) ask(ctx context.Context, id cluster.NodeID, rev int64) *hashAnswer {
	q, err := json.Marshal(hashQuestion{Revision: rev})
	if err != nil {
		return nil
	}
	for range behindTries {
		b, err := c.node.Ask(ctx, id, append([]byte{askHash}, q...))
		a := &hashAnswer{}
		if err != nil || json.Unmarshal(b, a) != nil || a.Gone {
			return nil
		}
		if !a.Behind {
			return a
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(c.retry):
		}
	}
	return nil
}

// judge compares the answers: same order and length as members. Right is what
// more than half of all members hold, whether or not they answer.
func judge(members []cluster.MemberStatus, answers []*hashAnswer, compacted int64) (v verdict) {
	holds := map[uint32]int{}
	for _, a := range answers {
		if a != nil && a.Compacted == compacted {
			holds[a.Hash]++
			v.Compared++
		}
	}
	if len(holds) < 2 {
		return v
	}
	v.Unclear = true
	for i, a := range answers {
		if a == nil || a.Compacted != compacted {
			continue
		}
		for hash, n := range holds {
			if 2*n > len(members) && hash != a.Hash {
				v.Unclear = false
				v.Differ = append(v.Differ, members[i].ID)
			}
		}
	}
	slices.Sort(v.Differ)
	return v
}

// check compares, and once more where something differs, so that nobody is
// accused by one bad read. It returns who is to be accused: 0 stands for all.
func (c *checker) check(ctx context.Context) ([]cluster.NodeID, error) {
	v, err := c.compare(ctx)
	if err != nil || len(v.Differ) == 0 && !v.Unclear {
		return nil, err
	}
	again, err := c.compare(ctx)
	if err != nil {
		return nil, err
	}
	if v.Unclear && again.Unclear {
		return []cluster.NodeID{0}, nil
	}
	return slices.DeleteFunc(again.Differ, func(id cluster.NodeID) bool { return !slices.Contains(v.Differ, id) }), nil
}

// checkPatience bounds one check: what a member with much data takes to read it.
const checkPatience = 10 * time.Minute

// keepChecking checks for corruption: at first, if it is to, whoever this member
// is, and then as often as it is told, while it leads. It ends with ctx.
func (s *Server) keepChecking(ctx context.Context, c CorruptCheck) {
	if c.AtStart && s.node.Ready(ctx) == nil {
		s.checkOnce(ctx)
	}
	if c.Every <= 0 {
		return
	}
	tick := time.NewTicker(c.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if leads(s.node.Status()) {
				s.checkOnce(ctx)
			}
		}
	}
}

func (s *Server) checkOnce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	c := checker{node: s.node, store: s.store, retry: time.Second}
	differ, err := c.check(ctx)
	if err != nil {
		s.log.Warn("the members' data could not be compared", "err", err)
	}
	for _, id := range differ {
		s.log.Error("a member holds other data than the others", "member", id.String())
		m, _ := s.node.Status().Member(id)
		s.raise(ctx, pb.AlarmType_CORRUPT, uint64(cmp.Or(m.Alias, id)))
	}
}
