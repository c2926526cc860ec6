package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/loopback"
	"github.com/musterhq/muster/internal/testcert"
)

// ask asks through whichever member answers, each time for some seconds.
func ask[T any](t *testing.T, c *clientv3.Client, what string, f func(context.Context) (T, error)) (out T) {
	t.Helper()
	eventually(t, what, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var err error
		if out, err = f(ctx); err != nil {
			t.Logf("%s: %v", what, err)
		}
		return err == nil
	})
	return out
}

// listed is a member in etcd's list, found by its peer URL; nil: it isn't there.
func listed(t *testing.T, c *clientv3.Client, m *member) *pb.Member {
	t.Helper()
	all := ask(t, c, "the list of members", func(ctx context.Context) (*clientv3.MemberListResponse, error) { return c.MemberList(ctx) }).Members
	if !slices.IsSortedFunc(all, func(a, b *pb.Member) int { return cmp.Compare(a.ID, b.ID) }) {
		t.Errorf("not in the order of IDs: %v", all)
	}
	for _, x := range all {
		if slices.Equal(x.PeerURLs, []string{"http://" + m.peer}) {
			return x
		}
	}
	return nil
}

// addAsKubeadm joins a member as kubeadm does: announce it as a learner, start
// it, ask for its promotion until that succeeds, looking each time whether the
// ID is still a learner's. A timeout is followed by another try.
func addAsKubeadm(t *testing.T, c *clientv3.Client, ms []*member, m *member, between func()) uint64 {
	t.Helper()
	var id uint64
	eventually(t, m.name+" is added", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		got, err := c.MemberAddAsLearner(ctx, []string{"http://" + m.peer})
		switch {
		case err == nil:
			id = got.Member.ID
		case errors.Is(err, rpctypes.ErrPeerURLExist): // the first answer was lost
			id = listed(t, c, m).ID
		}
		return id != 0
	})
	if x := listed(t, c, m); x == nil || x.ID != id || x.Name != "" || !x.IsLearner || len(x.ClientURLs) != 0 {
		t.Fatalf("announced, it is listed as %v", x)
	}
	seeds := []string{m.peer}
	for _, o := range ms {
		seeds = append(seeds, o.peer) // as ETCD_INITIAL_CLUSTER has it
	}
	m.args = []string{"--seeds", strings.Join(seeds, ",")}
	m.start()
	between()
	eventually(t, m.name+" is promoted", func() bool {
		x := listed(t, c, m)
		if x == nil || x.ID != id {
			t.Fatalf("%s is listed as %v, not as %x", m.name, x, id)
		}
		if !x.IsLearner {
			return true
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := c.MemberPromote(ctx, id)
		return err == nil
	})
	if x := listed(t, c, m); x.IsLearner || x.ID != id || x.Name != m.name {
		t.Fatalf("promoted, it is listed as %v", x)
	}
	return id
}

// One member grows to four as kubeadm grows etcd, and loses its leader while the
// last one comes. Three vote, the fourth stands by; to etcd's clients each has
// the ID that it was added with, also after all were started again.
func TestAddAsKubeadm(t *testing.T) {
	t.Parallel()
	first := newMember(t, "n1", "--single")
	first.start()
	ready(t, first)
	ms := []*member{first}
	c := dial(t, first)
	ids := map[string]uint64{}
	for i := 2; i <= 4; i++ {
		m := newMember(t, fmt.Sprint("n", i))
		ids[m.name] = addAsKubeadm(t, c, ms, m, func() {
			if i == 4 {
				l := leader(t, ms)
				l.Kill()
				l.start()
			}
		})
		ms = append(ms, m)
		c = dial(t, ms...)
	}
	voters(t, first, 3)
	for _, m := range ms {
		m.term()
	}
	for _, m := range ms {
		m.start()
	}
	ready(t, ms...)
	for _, m := range ms[1:] {
		own := dial(t, m)
		st := ask(t, own, "its status", func(ctx context.Context) (*clientv3.StatusResponse, error) { return own.Status(ctx, m.client) })
		if x := listed(t, own, m); x == nil || x.ID != ids[m.name] || x.IsLearner || st.Header.MemberId != ids[m.name] || st.IsLearner {
			t.Errorf("%s was added as %x, is listed as %v, and calls itself %x", m.name, ids[m.name], x, st.Header.MemberId)
		}
	}
	gone := ms[3]
	left := ask(t, c, "it is removed", func(ctx context.Context) (*clientv3.MemberRemoveResponse, error) {
		return c.MemberRemove(ctx, ids[gone.name])
	})
	if code := gone.exit(); code != 3 || len(left.Members) != 3 {
		t.Errorf("exit %d; left: %v", code, left.Members)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := c.MemberRemove(ctx, ids[gone.name]); !errors.Is(err, rpctypes.ErrMemberNotFound) {
		t.Errorf("again: %v", err)
	}
}

// Where members speak TLS with each other, the list says so: kubeadm compares
// its URL with those that are listed.
func TestPeerURLsSayTLS(t *testing.T) {
	t.Parallel()
	ca := testcert.New(t, "ca")
	first, m := newMember(t, "n1", "--single"), newMember(t, "n2")
	first.certify(ca)
	first.start()
	ready(t, first)
	c, url := dial(t, first), []string{"https://" + m.peer}
	added := ask(t, c, "it is announced", func(ctx context.Context) (*clientv3.MemberAddResponse, error) { return c.MemberAdd(ctx, url) }).Member
	m.args = []string{"--join-only", "--seeds", first.peer}
	m.certify(ca)
	m.start()
	ready(t, m)
	all := ask(t, c, "the list", func(ctx context.Context) (*clientv3.MemberListResponse, error) { return c.MemberList(ctx) }).Members
	for _, x := range all {
		if want := "https://" + first.peer; x.ID == added.ID && (!slices.Equal(x.PeerURLs, url) || x.Name != "n2") || x.Name == "n1" && x.PeerURLs[0] != want {
			t.Errorf("listed as %v", x)
		}
	}
}

// One that is added as a voter needs no promotion. Where it comes from may be
// corrected before it does; a member is told to move before it does, and is
// listed where it will be.
func TestMemberAddUpdateMove(t *testing.T) {
	t.Parallel()
	ms := formed(t)
	c := dial(t, ms...)
	m := newMember(t, "n4", "--join-only", "--seeds", ms[0].peer)
	added := ask(t, c, "it is announced", func(ctx context.Context) (*clientv3.MemberAddResponse, error) {
		return c.MemberAdd(ctx, []string{"http://127.0.0.1:1"})
	}).Member
	ask(t, c, "its address is corrected", func(ctx context.Context) (*clientv3.MemberUpdateResponse, error) {
		return c.MemberUpdate(ctx, added.ID, []string{"http://" + m.peer})
	})
	m.start()
	ready(t, m)
	eventually(t, "it has come", func() bool {
		x := listed(t, c, m)
		return x != nil && x.ID == added.ID && x.Name == "n4" && !x.IsLearner
	})
	if why := leader(t, ms).why(); strings.Contains(why, "announced") {
		t.Errorf("the leader still waits for it: %s", why)
	}

	voter := follower(ms, leader(t, ms))
	was := listed(t, c, voter)
	moved := &member{peer: loopback.Addrs(t, 1)[0]}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := c.MemberUpdate(ctx, was.ID, []string{"http://" + m.peer}); !errors.Is(err, rpctypes.ErrPeerURLExist) {
		t.Errorf("to another's address: %v", err)
	}
	ask(t, c, "it is to move", func(ctx context.Context) (*clientv3.MemberUpdateResponse, error) {
		return c.MemberUpdate(ctx, was.ID, []string{"http://" + moved.peer})
	})
	if x := listed(t, c, moved); x == nil || x.ID != was.ID {
		t.Errorf("before it moves it is listed as %v", x)
	}
	voter.term()
	voter.peer = moved.peer
	voter.start()
	ready(t, voter)
	eventually(t, "it is there", func() bool {
		s, err := ms[2].status()
		return err == nil && slices.ContainsFunc(s.Members, func(x cluster.MemberStatus) bool { return x.PeerAddr == moved.peer && x.MovesTo == "" })
	})
	fill(t, dial(t, voter), "a", 5)
}
