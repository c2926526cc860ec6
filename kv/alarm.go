package kv

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// alarms are those that are raised, sorted by kind and member. What is
// published is never changed, so that any goroutine may read it.
type alarms struct {
	list atomic.Pointer[[]*pb.AlarmMember]
}

// Alarms lists the alarms that are raised, sorted by kind and member. The
// caller must not change them. It is empty while the store is not open.
func (s *Store) Alarms() []*pb.AlarmMember { return s.known.alarms.all() }

func (a *alarms) all() []*pb.AlarmMember {
	if l := a.list.Load(); l != nil {
		return *l
	}
	return nil
}

func alarmsKey() []byte { return mvcc.MetaKey("alarms") }

// loadAlarms reads what the database of g holds.
func (a *applier) loadAlarms(g *generation) error {
	stored, ok, err := readFact(g.db, alarmsKey())
	if err != nil {
		return err
	}
	var list pb.AlarmResponse
	if ok {
		if err := proto.Unmarshal(stored, &list); err != nil {
			return fmt.Errorf("damaged store: its alarms can't be read: %w", err)
		}
	}
	a.known.alarms.list.Store(&list.Alarms)
	return nil
}

// runAlarm raises, clears or lists alarms. As in etcd, raising what is raised
// already answers with it, and clearing what is not answers with nothing.
func (a *applier) runAlarm(r *pb.AlarmRequest, wanted bool) (Reply, error) {
	was := a.known.alarms.all()
	resp := &pb.AlarmResponse{Header: &pb.ResponseHeader{Revision: a.begin}}
	is := &pb.AlarmMember{MemberID: r.GetMemberID(), Alarm: r.GetAlarm()}
	at, raised := slices.BinarySearchFunc(was, is, byKindAndMember)
	switch r.GetAction() {
	case pb.AlarmRequest_GET:
		for _, m := range was {
			if r.GetAlarm() == pb.AlarmType_NONE || r.GetAlarm() == m.GetAlarm() {
				resp.Alarms = append(resp.Alarms, m)
			}
		}
	case pb.AlarmRequest_ACTIVATE:
		if r.GetAlarm() == pb.AlarmType_NONE {
			break
		}
		resp.Alarms = []*pb.AlarmMember{is}
		if !raised {
			return a.publishAlarms(slices.Insert(slices.Clone(was), at, is), resp, wanted)
		}
	case pb.AlarmRequest_DEACTIVATE:
		if raised {
			resp.Alarms = []*pb.AlarmMember{is}
			return a.publishAlarms(slices.Delete(slices.Clone(was), at, at+1), resp, wanted)
		}
	}
	if !wanted {
		return Reply{}, nil
	}
	return Reply{Response: resp}, nil
}

func (a *applier) publishAlarms(list []*pb.AlarmMember, resp *pb.AlarmResponse, wanted bool) (Reply, error) {
	stored, err := proto.MarshalOptions{Deterministic: true}.Marshal(&pb.AlarmResponse{Alarms: list})
	if err != nil {
		return Reply{}, fmt.Errorf("encode alarms: %w", err)
	}
	was := a.known.alarms.list.Load()
	a.facts.onRefusal(func() { a.known.alarms.list.Store(was) })
	a.setFact(alarmsKey(), stored)
	a.known.alarms.list.Store(&list)
	if !wanted {
		return Reply{}, nil
	}
	return Reply{Response: resp}, nil
}

func byKindAndMember(a, b *pb.AlarmMember) int {
	return cmp.Or(cmp.Compare(a.GetAlarm(), b.GetAlarm()), cmp.Compare(a.GetMemberID(), b.GetMemberID()))
}
