package differential

import (
	"context"
	"fmt"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/musterhq/muster/test/etcd/internal/system"
)

// pair is the two systems: the reference and the one that is held to it. Both
// have as many members.
type pair struct {
	t        testing.TB
	kinds    [2]system.Kind
	size     int
	clusters [2]*system.Cluster
	conns    [2][]*grpc.ClientConn // to each member, in their order
	jwt      *signers              // of tokens; nil: those are not signed
}

func newPair(t testing.TB, against system.Kind, size int) *pair {
	return newPairOf(t, [2]system.Kind{system.Etcd, against}, size)
}

func newPairOf(t testing.TB, kinds [2]system.Kind, size int) *pair {
	p := &pair{t: t, kinds: kinds, size: size}
	p.renew()
	return p
}

// renew starts both afresh: what a failed program left behind is in no later
// one's way.
func (p *pair) renew() {
	p.t.Helper()
	for i, kind := range p.kinds {
		p.hangUp(i)
		if p.clusters[i] != nil {
			for _, m := range p.clusters[i].Members {
				m.Kill()
			}
		}
		p.clusters[i] = system.Start(p.t, kind, p.size)
		if err := p.dial(i); err != nil {
			p.t.Fatal(err)
		}
		if err := p.settled(i); err != nil {
			p.t.Fatal(err)
		}
	}
}

// settled returns when a cluster counts how long leases have left, and takes
// changes of its members. An etcd of several refuses those until all have been
// connected for five seconds; a muster counts from its first lease on, and
// lists leases in another order until somebody does.
func (p *pair) settled(i int) error {
	if err := countsLeases(p.conns[i][0]); err != nil {
		return err
	}
	for _, conn := range p.conns[i] {
		if err := storageIsNew(conn); err != nil {
			return err
		}
	}
	cluster := pb.NewClusterClient(p.conns[i][0])
	for end := time.Now().Add(system.Patience); p.size > 1; time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		defer cancel()
		added, err := cluster.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: []string{"http://127.0.0.3:1"}, IsLearner: true})
		if err == nil {
			_, err = cluster.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: added.Member.ID})
			return err
		}
		if time.Now().After(end) {
			return err
		}
	}
	return nil
}

// countsLeases returns when somebody knows how long a lease has left.
func countsLeases(conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(context.Background(), system.Patience)
	defer cancel()
	leases := pb.NewLeaseClient(conn)
	if _, err := leases.LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: 1, TTL: passed}); err != nil {
		return err
	}
	if _, err := leases.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: 1}); err != nil {
		return err
	}
	_, err := leases.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: 1})
	return err
}

// storageIsNew returns when a member's storage has the version that it will keep: etcd
// begins with that of an old release, sometimes for some seconds.
func storageIsNew(conn *grpc.ClientConn) error {
	for end := time.Now().Add(system.Patience); ; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
		st, err := pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
		cancel()
		if err != nil || st.StorageVersion == storageVersion {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("the storage's version is still %s", st.StorageVersion)
		}
	}
}

// storageVersion is what both tell.
const storageVersion = "3.7.0"

func (p *pair) hangUp(i int) {
	for _, c := range p.conns[i] {
		_ = c.Close()
	}
	p.conns[i] = nil
}

func (p *pair) dial(i int) error {
	for _, m := range p.clusters[i].Members {
		c, err := m.Dial()
		if err != nil {
			return err
		}
		p.conns[i] = append(p.conns[i], c)
	}
	return nil
}

// restart ends all members of both, at once or as an operator does, and starts
// them again. The sessions go on with new connections.
func (p *pair) restart(sessions [2]*session, atOnce bool) error {
	for i, c := range p.clusters {
		sessions[i].close()
		p.hangUp(i)
		for _, m := range c.Members {
			if atOnce {
				m.Kill()
			} else if err := m.Stop(); err != nil {
				return err
			}
		}
		for _, m := range c.Members {
			if err := m.Start(); err != nil {
				return err
			}
		}
		for _, m := range c.Members {
			if err := m.WaitReady(); err != nil {
				return err
			}
		}
		if err := p.dial(i); err != nil {
			return err
		}
		sessions[i].restarted(p.conns[i])
	}
	return nil
}

// difference is the first step of a program whose answers differ.
type difference struct {
	at   int // index of the step
	want Answer
	got  Answer
}

// program is what a seed becomes.
type program struct {
	// exact has every step followed by a sync, so that even how changes are put
	// into the responses of watches, and their headers, are compared.
	exact bool
	steps []Step
}

// play plays a program on both and returns the first difference; nil if there
// is none. An error is a fault of a system or of the tests, and no difference.
func (p *pair) play(prog program) (*difference, error) {
	sessions, err := p.begin(prog.exact)
	if err != nil {
		return nil, err
	}
	defer sessions[0].close()
	defer sessions[1].close()
	steps := make([]Step, 0, 2*len(prog.steps)+1)
	var origin []int
	for i, step := range prog.steps {
		steps, origin = append(steps, step), append(origin, i)
		if prog.exact {
			steps, origin = append(steps, Step{Method: syncMethod}), append(origin, i)
		}
	}
	steps, origin = append(steps, Step{Method: syncMethod}), append(origin, len(prog.steps)-1)
	for i, step := range steps {
		if step.Method == restartMethod || step.Method == killMethod {
			if err := p.restart(sessions, step.Method == killMethod); err != nil {
				return nil, fmt.Errorf("%s: %w", step, err)
			}
			continue
		}
		want, got := playBoth(sessions, step)
		for _, m := range p.clusters[0].Members {
			if err := m.Alive(); err != nil {
				return nil, fmt.Errorf("%s: %w", step, err)
			}
		}
		if equal(want, got) {
			continue
		}
		switch d := allowed(step, want, got); {
		case d == nil:
			return &difference{origin[i], want, got}, nil
		case d.Ends:
			return nil, nil
		}
	}
	return nil, nil
}

// begin brings both to the state in which programs begin. Systems that can't be
// brought there are replaced, since a program may have locked everybody out.
func (p *pair) begin(exact bool) (sessions [2]*session, err error) {
	for i := range p.conns {
		if err := reset(p.conns[i], p.jwt); err != nil {
			p.t.Logf("reset %s: %v: both are started afresh", p.clusters[i].Kind.Name, err)
			p.renew()
			break
		}
	}
	for i := range p.conns {
		s, err := newSession(p.conns[i])
		if err != nil {
			return sessions, err
		}
		s.exact, s.jwt = exact, p.jwt
		sessions[i] = s
	}
	return sessions, nil
}

// playBoth returns the answers of both to one step.
func playBoth(s [2]*session, step Step) (want, got Answer) {
	if step.Method != syncMethod {
		return s[0].play(step), s[1].play(step)
	}
	want, amounts := s[0].syncReference()
	got = s[1].sync(amounts)
	return s[0].normal(step, want), s[1].normal(step, got)
}
