package process

import (
	"context"
	"slices"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/internal/loopback"
)

// A member listens at several addresses for clients and for members, and tells
// all of the former to clients, which take their endpoints from the list. A member
// that comes back with others tells those.
func TestSeveralAddresses(t *testing.T) {
	t.Parallel()
	more := loopback.Addrs(t, 3)
	first, second := newMember(t, "n1"), newMember(t, "n2")
	own := first.peer
	first.peer += "," + more[0]
	first.args = []string{"--single", "--advertise", first.client + "," + more[1]}
	client := first.client
	first.client += "," + more[1]
	first.start()
	first.client = client
	second.args = []string{"--join-only", "--seeds", more[0]}
	second.start()
	ready(t, first, second)
	c := dial(t, &member{client: more[1]}) // of the second it takes no note: a learner
	urls := func(want ...string) func() bool {
		return func() bool {
			all := ask(t, c, "the list", func(ctx context.Context) (*clientv3.MemberListResponse, error) { return c.MemberList(ctx) }).Members
			for _, m := range all {
				if m.Name == "n1" {
					return slices.Equal(m.ClientURLs, want) && slices.Equal(m.PeerURLs, []string{"http://" + own})
				}
			}
			return false
		}
	}
	eventually(t, "all are told", urls("http://"+client, "http://"+more[1]))
	if err := c.Sync(t.Context()); err != nil || !slices.Equal(c.Endpoints(), []string{"http://" + client, "http://" + more[1]}) {
		t.Errorf("clients go to %s, %v", c.Endpoints(), err)
	}
	first.term()
	first.args = []string{"--advertise", client + "," + more[2]}
	first.client = client + "," + more[2]
	first.start()
	first.client = client
	ready(t, first)
	c = dial(t, first)
	eventually(t, "the new ones are told", urls("http://"+client, "http://"+more[2]))
}
