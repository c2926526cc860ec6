package server

import (
	"slices"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/cluster"
)

// TestAnnouncedIDs: a member goes by its alias too, and one that is only
// announced can be named to take that back.
func TestAnnouncedIDs(t *testing.T) {
	r := newRig(t)
	r.node.set(func(st *cluster.Status) {
		st.Members[1].Alias = 0xa2
		st.Announced = []cluster.Announced{{ID: 0xa3, PeerURLs: []string{"http://h3:2380"}}}
	})
	for path, want := range map[string]string{
		"/v1/members/a2/remove":  "b (0000000000000002) was removed",
		"/v1/members/a2/promote": "b (0000000000000002) may vote",
		"/v1/members/a3/remove":  "the announced member (00000000000000a3) was removed",
		"/v1/members/a4/remove":  "no_such_member",
	} {
		if _, body := r.do(t, "POST", path); !strings.Contains(body, want) {
			t.Errorf("%s: %s, want %s", path, body, want)
		}
	}
	if why := WhyAlarms(r.node.Status(), []*pb.AlarmMember{{MemberID: 0xa2, Alarm: pb.AlarmType_CORRUPT}}); len(why) != 1 || why[0].Peer != 2 || !strings.Contains(why[0].Text, "b holds other data") {
		t.Errorf("its alarm: %v", why)
	}
	slices.Sort(r.node.calls)
	if got := strings.Join(r.node.calls, "; "); got != "promote 2; remove 163; remove 2" {
		t.Errorf("asked the node to: %s", got)
	}
}
