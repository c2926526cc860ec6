package server

import (
	"context"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// alarmsEvery is how often the alarms are looked at, to log what has changed.
const alarmsEvery = time.Second

// logAlarms has the log of every member tell of alarms, whoever raised them and
// for whom, until ctx ends.
func (s *Server) logAlarms(ctx context.Context) {
	tick := time.NewTicker(alarmsEvery)
	defer tick.Stop()
	var told []*pb.AlarmMember
	for {
		told = s.logAlarmsSince(told)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// logAlarmsSince logs what differs from those that were told, and returns those
// that there are.
func (s *Server) logAlarmsSince(told []*pb.AlarmMember) []*pb.AlarmMember {
	now := s.store.Alarms()
	for _, a := range now {
		if !holds(told, a) {
			for _, r := range WhyAlarms(s.node.Status(), []*pb.AlarmMember{a}) {
				s.log.Warn(r.Text, "event", "alarm_raised", "way_out", r.WayOut)
			}
		}
	}
	for _, a := range told {
		if !holds(now, a) {
			s.log.Info("the alarm "+a.GetAlarm().String()+" was cleared", "event", "alarm_cleared")
		}
	}
	return now
}

func holds(list []*pb.AlarmMember, a *pb.AlarmMember) bool {
	return slices.ContainsFunc(list, func(b *pb.AlarmMember) bool {
		return a.GetAlarm() == b.GetAlarm() && a.GetMemberID() == b.GetMemberID()
	})
}
