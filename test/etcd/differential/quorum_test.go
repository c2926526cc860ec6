package differential

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"google.golang.org/grpc/metadata"

	"github.com/musterhq/muster/test/etcd/internal/system"
)

// leaderless are requests to a member that has lost the others. Those that wait
// for a leader take as long as a server lets them, all at the same time. What
// etcd lets wait until its client gives up is none of them: locks, campaigns, and some
// changes of members.
func leaderless() []Step {
	put := &pb.PutRequest{Key: []byte("b")}
	get := &pb.RangeRequest{Key: []byte("a")}
	txn := func(op *pb.RequestOp) *pb.TxnRequest { return &pb.TxnRequest{Success: []*pb.RequestOp{op}} }
	near := &pb.RangeRequest{Key: []byte("a"), Serializable: true}
	steps := []Step{
		{Method: "KV/Range", Req: near},
		{Method: "KV/Range", Req: get},
		{Method: "KV/RangeStream", Req: near},
		{Method: "KV/RangeStream", Req: get},
		{Method: "KV/Put", Req: put},
		{Method: "KV/DeleteRange", Req: &pb.DeleteRangeRequest{Key: []byte("a")}},
		{Method: "KV/Txn", Req: txn(&pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: get}})},
		{Method: "KV/Txn", Req: txn(&pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: near}})},
		{Method: "KV/Txn", Req: txn(&pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: put}})},
		{Method: "KV/Compact", Req: &pb.CompactionRequest{Revision: 1}},
		{Method: "KV/Compact", Req: &pb.CompactionRequest{Revision: 1, Physical: true}},
		{Method: "KV/Put", Req: &pb.PutRequest{}},
		{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: 7, TTL: 1000}},
		{Method: "Lease/LeaseRevoke", Req: &pb.LeaseRevokeRequest{ID: 1}},
		{Method: "Lease/LeaseTimeToLive", Req: &pb.LeaseTimeToLiveRequest{ID: 1}},
		{Method: "Lease/LeaseTimeToLive", Req: &pb.LeaseTimeToLiveRequest{ID: 1, Keys: true}},
		{Method: "Lease/LeaseLeases", Req: &pb.LeaseLeasesRequest{}},
		{Method: "Lease/LeaseKeepAlive", Req: &pb.LeaseKeepAliveRequest{ID: 1}},
		{Method: "Auth/Authenticate", Req: &pb.AuthenticateRequest{Name: "root", Password: "root"}},
		{Method: "Auth/AuthStatus", Req: &pb.AuthStatusRequest{}},
		{Method: "Auth/UserList", Req: &pb.AuthUserListRequest{}},
		{Method: "Auth/UserAdd", Req: &pb.AuthUserAddRequest{Name: "u", Password: "u"}},
		{Method: "Auth/RoleAdd", Req: &pb.AuthRoleAddRequest{Name: "r"}},
		{Method: "Auth/AuthEnable", Req: &pb.AuthEnableRequest{}},
		{Method: "Cluster/MemberList", Req: &pb.MemberListRequest{}},
		{Method: "Cluster/MemberList", Req: &pb.MemberListRequest{Linearizable: true}},
		{Method: "Cluster/MemberAdd", Req: &pb.MemberAddRequest{PeerURLs: []string{"http://127.0.0.3:2"}, IsLearner: true}},
		{Method: "Cluster/MemberPromote", Req: &pb.MemberPromoteRequest{ID: 12345}},
		{Method: "Maintenance/Status", Req: &pb.StatusRequest{}},
		{Method: "Maintenance/Alarm", Req: &pb.AlarmRequest{}},
		{Method: "Maintenance/Alarm", Req: &pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, Alarm: pb.AlarmType_NOSPACE}},
		{Method: "Maintenance/Defragment", Req: &pb.DefragmentRequest{}},
		{Method: "Maintenance/Hash", Req: &pb.HashRequest{}},
		{Method: "Maintenance/HashKV", Req: &pb.HashKVRequest{}},
		{Method: "Maintenance/Snapshot", Req: &pb.SnapshotRequest{}},
		{Method: "Maintenance/MoveLeader", Req: &pb.MoveLeaderRequest{TargetID: selfID + 1}},
		{Method: "Maintenance/Downgrade", Req: &pb.DowngradeRequest{Action: pb.DowngradeRequest_CANCEL}},
		{Method: "Election/Leader", Req: &v3electionpb.LeaderRequest{Name: []byte("office")}},
	}
	for _, step := range steps {
		step.Meta = []string{"hasleader", "true"}
		steps = append(steps, step)
	}
	return steps
}

// atOnce makes calls of all steps together, each as if it were the only one.
func (s *session) atOnce(steps []Step) []Answer {
	answers := make([]Answer, len(steps))
	var wg sync.WaitGroup
	for i, step := range steps {
		step.Req = s.actual(step.Req)
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(s.contextOf(step), callTimeout)
			defer cancel()
			answers[i] = callOn(ctx, s.conn, step)
		})
	}
	wg.Wait()
	for i, step := range steps {
		answers[i] = s.normal(step, answers[i])
	}
	return answers
}

// untilLeaderless returns when the member knows that it has no leader.
func (s *session) untilLeaderless() error {
	for end := time.Now().Add(system.Patience); ; time.Sleep(20 * time.Millisecond) {
		st, err := s.statusOf(s.conn)
		if err == nil && st.Leader == 0 {
			return nil
		}
		if time.Now().After(end) {
			return errors.Join(errors.New("it still has a leader"), err)
		}
	}
}

// led begins a watch whose client requires a leader, or doesn't.
func (s *session) led(required bool) (pb.Watch_WatchClient, context.CancelFunc, error) {
	ctx, cancel := context.WithCancel(s.context("root"))
	if required {
		ctx = metadata.AppendToOutgoingContext(ctx, "hasleader", "true")
	}
	stream, err := pb.NewWatchClient(s.conn).Watch(ctx)
	if err != nil {
		return nil, cancel, err
	}
	return stream, cancel, createAndReceive(stream)
}

func createAndReceive(stream pb.Watch_WatchClient) error {
	create := &pb.WatchCreateRequest{Key: []byte("a")}
	if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: create}}); err != nil {
		return err
	}
	_, err := stream.Recv()
	return err
}

// TestNoQuorum stops one member of three, and then another one; where
// there are users, too.
func TestNoQuorum(t *testing.T) {
	t.Parallel()
	for name, user := range map[string]string{"open": "", "guarded": "root"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			noQuorum(t, user)
		})
	}
}

// noQuorum has the user ask; "" nobody, where everybody may.
func noQuorum(t *testing.T, user string) {
	p := newPair(t, kindOf(t), 3)
	sessions := p.mustBegin()
	p.compare(sessions, Step{Method: moveMethod})
	if user != "" {
		p.compare(sessions, enableAuth()...)
	}
	p.compare(sessions, by(user,
		Step{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("a"), Value: []byte("1")}},
		Step{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: 1, TTL: 1000}})...)
	p.killLast(2)
	list := Step{Method: "Cluster/MemberList", Req: &pb.MemberListRequest{Linearizable: true}}
	p.compare(sessions, by(user, list, Step{Method: "Cluster/MemberList", Req: &pb.MemberListRequest{}},
		Step{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("a"), Value: []byte("2")}},
		Step{Method: "Maintenance/Status", Req: &pb.StatusRequest{}})...)
	p.compareHealth(sessions)
	var led, other [2]pb.Watch_WatchClient
	for i, s := range sessions {
		var err, err2 error
		var cancel context.CancelFunc
		led[i], cancel, err = s.led(true)
		defer cancel()
		other[i], cancel, err2 = s.led(false)
		defer cancel()
		if err = errors.Join(err, err2); err != nil {
			t.Fatalf("%s: %v", p.kinds[i].Name, err)
		}
	}
	p.killLast(1)
	for i, s := range sessions {
		if err := s.untilLeaderless(); err != nil {
			t.Fatalf("%s: %v", p.kinds[i].Name, err)
		}
	}
	p.compareHealth(sessions)
	var ended [2]Answer
	for i, s := range sessions {
		resp, err := led[i].Recv()
		if err == nil {
			ended[i].Messages = messages(resp)
		}
		ended[i].Err = err
		ended[i] = s.normal(Step{}, ended[i])
		if err := createAndReceive(other[i]); err != nil {
			t.Errorf("%s: a watch that needs no leader: %v", p.kinds[i].Name, err)
		}
	}
	p.report("a watch whose client requires a leader", ended[0], ended[1])
	steps := by(user, leaderless()...)
	var answers [2][]Answer
	var wg sync.WaitGroup
	for i, s := range sessions {
		wg.Go(func() { answers[i] = s.atOnce(steps) })
	}
	wg.Wait()
	for i, step := range steps {
		if allowed(step, answers[0][i], answers[1][i]) == nil {
			p.report(step.String(), answers[0][i], answers[1][i])
		}
	}
}

// by has a user send the requests.
func by(user string, steps ...Step) []Step {
	for i := range steps {
		steps[i].As = user
	}
	return steps
}

// killLast kills the members from that one on.
func (p *pair) killLast(from int) {
	for _, c := range p.clusters {
		for _, m := range c.Members[from:] {
			m.Kill()
		}
	}
}

// compareHealth compares what the first members say of themselves over HTTP: the
// status, and the checks of etcd's that come out so or so. In how many words
// is each server's own.
func (p *pair) compareHealth(sessions [2]*session) {
	p.t.Helper()
	for _, path := range []string{"/health", "/health?serializable=true", "/livez", "/readyz?verbose", "/readyz?exclude=linearizable_read", "/readyz/serializable_read", "/livez/nonsense"} {
		var said [2]string
		for i := range sessions {
			said[i] = health(p.clusters[i].Members[0], path)
		}
		if said[0] != said[1] {
			p.t.Errorf("%s\n    etcd: %s\n  %s: %s", path, said[0], p.kinds[1].Name, said[1])
		}
	}
}

var healthCheck = regexp.MustCompile(`\[[-+]\](data_corruption|serializable_read|linearizable_read)|"health":"(true|false)"`)

func health(m *system.Member, path string) string {
	resp, err := http.Get("http://" + m.Client + path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	checks := healthCheck.FindAllString(string(body), -1)
	slices.Sort(checks)
	return fmt.Sprint(resp.StatusCode, checks)
}
