package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// asEtcd starts the member by etcd's flags, with all of these in its cluster.
func (m *member) asEtcd(state string, all ...*member) {
	m.t.Helper()
	m.run("serve", "--etcd-flags", "--name="+m.name, "--data-dir="+m.dir,
		"--listen-client-urls=http://"+m.client, "--advertise-client-urls=http://"+m.client,
		"--listen-peer-urls=http://"+m.peer, "--initial-advertise-peer-urls=http://"+m.peer,
		"--initial-cluster="+initialCluster(all...), "--initial-cluster-state="+state)
}

func initialCluster(all ...*member) string {
	var list []string
	for _, m := range all {
		list = append(list, m.name+"=http://"+m.peer)
	}
	return strings.Join(list, ",")
}

func named(t *testing.T, n int) (ms []*member) {
	for i := range n {
		ms = append(ms, newMember(t, fmt.Sprint("n", i+1)))
	}
	return ms
}

// What --initial-cluster-state says makes no difference to how a cluster forms:
// three that are all told that it exists found one; a fourth, which was added,
// joins by either word, and so does a member that lost its disk.
func TestInitialClusterStateIsIgnored(t *testing.T) {
	t.Parallel()
	ms := named(t, 4)
	three := ms[:3]
	for _, m := range three {
		m.asEtcd("existing", three...)
	}
	ready(t, three...)
	if log := ms[0].Said(); !strings.Contains(log, "mean nothing here: --initial-cluster-state (MUSTER_JOIN_ONLY=true") {
		t.Errorf("not said: %s", log)
	}
	c := dial(t, three...)
	fill(t, c, "a", 5)
	added := ask(t, c, "a fourth is added", func(ctx context.Context) (*clientv3.MemberAddResponse, error) {
		r, err := c.MemberAdd(ctx, []string{"http://" + ms[3].peer})
		if errors.Is(err, rpctypes.ErrPeerURLExist) { // the first answer was lost
			return &clientv3.MemberAddResponse{Member: listed(t, c, ms[3])}, nil
		}
		return r, err
	}).Member
	ms[3].asEtcd("existing", ms...)
	ready(t, ms...)
	if x := listed(t, c, ms[3]); x == nil || x.ID != added.ID || x.Name != "n4" {
		t.Errorf("added as %v, listed as %v", added, x)
	}
	for i, state := range []string{"existing", "new"} {
		ms[i].Kill()
		ms[i].wipe()
		ms[i].asEtcd(state, three...)
		ready(t, ms...)
		full(t, dial(t, ms[i]), "a", 5)
		eventually(t, ms[i].name+" has taken the place of the one that it was", func() bool {
			s, err := ms[3].status()
			return err == nil && len(s.Members) == len(ms)
		})
		voters(t, ms[3], 3)
	}
}

// A fourth that finds nobody founds nothing, whatever it was told, and joins when
// the others are back.
func TestFourthFoundsNothingAlone(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"existing", "new"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			ms := named(t, 4)
			three, fourth := ms[:3], ms[3]
			for _, m := range three {
				m.asEtcd("new", three...)
			}
			id := ready(t, three...)
			for _, m := range three {
				m.Kill()
			}
			fourth.asEtcd(state, ms...)
			unavailable(t, fourth)
			if s, err := fourth.status(); err != nil || s.Stage == "member" {
				t.Fatalf("with nobody there: %+v, %v", s, err)
			}
			for _, m := range three {
				m.asEtcd("existing", three...)
			}
			if got := ready(t, ms...); got != id {
				t.Errorf("joined %s, not %s", got, id)
			}
		})
	}
}

// A node that is said to join a cluster of which only it is known is refused: it
// may be the only member, which lost its disk. On its own disk it goes on.
func TestExistingClusterOfOne(t *testing.T) {
	t.Parallel()
	m := newMember(t, "n1")
	m.asEtcd("existing", m)
	if code := m.exit(); code != 2 || !strings.Contains(m.Said(), "there is nobody to join") || strings.Contains(m.Said(), "--seeds") {
		t.Fatalf("exit %d, %s", code, m.Said())
	}
	if _, err := os.Stat(m.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it left something in %s: %v", m.dir, err)
	}
	m.asEtcd("new", m)
	id := ready(t, m)
	fill(t, dial(t, m), "a", 1)
	m.term()
	m.asEtcd("existing", m)
	if got := ready(t, m); got != id {
		t.Errorf("in cluster %s, not %s", got, id)
	}
	full(t, dial(t, m), "a", 1)
	m.Kill()
	m.wipe()
	if err := os.Mkdir(m.dir, 0o700); err != nil { // as a volume that is mounted
		t.Fatal(err)
	}
	m.asEtcd("existing", m)
	if code := m.exit(); code != 2 {
		t.Errorf("with an empty directory: exit %d, %s", code, m.Said())
	}
}

// Whoever wants a node that never founds says so besides.
func TestJoinOnlyBesidesEtcdsFlags(t *testing.T) {
	t.Parallel()
	ms := named(t, 3)
	for _, m := range ms {
		m.Env = []string{"MUSTER_JOIN_ONLY=true"}
		m.asEtcd("existing", ms...)
	}
	for _, m := range ms {
		eventually(t, m.name+" waits for a cluster", func() bool { return strings.Contains(m.why(), "no_cluster_found") })
	}
}
