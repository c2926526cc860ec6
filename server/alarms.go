package server

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
)

// WhyAlarms says of alarms that are raised what they keep from happening.
func WhyAlarms(st *cluster.Status, raised []*pb.AlarmMember) []event.Reason {
	var out []event.Reason
	for _, a := range raised {
		id := cluster.NodeID(a.GetMemberID())
		who := "member " + id.String()
		m, known := st.Known(id)
		if known {
			who = m.Name
		}
		var r event.Reason
		switch a.GetAlarm() {
		case pb.AlarmType_NOSPACE:
			r = event.Reason{Code: "alarm_nospace",
				Text:   fmt.Sprintf("no member takes puts: the store of %s exceeded its quota (alarm NOSPACE)", who),
				WayOut: "delete what isn't needed and compact, or raise --quota-backend-bytes there and restart it; then `etcdctl alarm disarm`"}
		case pb.AlarmType_CORRUPT:
			r = event.Reason{Code: "alarm_corrupt",
				Text:   fmt.Sprintf("no member takes writes: %s holds other data than the others (alarm CORRUPT)", who),
				WayOut: fmt.Sprintf("stop %s, start it again with an empty directory and the same name, have the new one take its place, then `etcdctl alarm disarm`", who)}
			if id == 0 {
				r.Text = "no member takes writes: the members hold different data, and it doesn't show which of them is right (alarm CORRUPT)"
				r.WayOut = "compare them (`etcdctl endpoint hashkv --cluster`), keep one or `muster restore` a snapshot, then `etcdctl alarm disarm`"
			}
		default:
			r = event.Reason{Code: "alarm_unknown",
				Text: fmt.Sprintf("an alarm of a kind that this release doesn't know is raised for %s: %d", who, a.GetAlarm()), WayOut: "run the release that raised it"}
		}
		if known {
			r.Peer, r.Addr = m.ID, m.PeerAddr
		}
		out = append(out, r)
	}
	return out
}
