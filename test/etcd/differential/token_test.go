package differential

import (
	"context"
	"errors"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/test/etcd/internal/system"
)

// TestTokensEnd has tokens that nobody uses end, and one that is used go on. To ask
// whether a token has ended is to use it, so that there are many.
func TestTokensEnd(t *testing.T) {
	t.Parallel()
	kinds := kindsWith(t)
	for i, kind := range kinds {
		ttl := "--auth-token-ttl=2" // in seconds
		if kind.Name != system.Etcd.Name {
			ttl += "s"
		}
		kinds[i] = kind.With(ttl)
	}
	p := newPairOf(t, kinds, 1)
	sessions := p.mustBegin()
	p.compare(sessions, enableAuth()...)
	var old [2]string
	for i, s := range sessions {
		var err error
		if old[i], err = s.untilTokenEnds(); err != nil {
			t.Fatalf("%s: %v", kinds[i].Name, err)
		}
		s.tokens["old"] = old[i]
	}
	ask := []Step{
		{Method: "KV/Range", Req: &pb.RangeRequest{Key: []byte("a")}},
		{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("a")}},
		{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("a")}, JSON: &jsonForm{verb: "POST"}},
		{Method: "KV/Txn", Req: &pb.TxnRequest{}},
		{Method: "Lease/LeaseGrant", Req: &pb.LeaseGrantRequest{ID: 1, TTL: 1000}},
		{Method: "Lease/LeaseKeepAlive", Req: &pb.LeaseKeepAliveRequest{ID: 1}},
		{Method: "Lease/LeaseLeases", Req: &pb.LeaseLeasesRequest{}},
		{Method: watchMethod, Req: &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("a")}}}},
		{Method: "Auth/AuthStatus", Req: &pb.AuthStatusRequest{}},
		{Method: "Auth/UserList", Req: &pb.AuthUserListRequest{}},
		{Method: "Auth/AuthDisable", Req: &pb.AuthDisableRequest{}},
		{Method: "Cluster/MemberList", Req: &pb.MemberListRequest{}},
		{Method: "Maintenance/Status", Req: &pb.StatusRequest{}},
		{Method: "Maintenance/Alarm", Req: &pb.AlarmRequest{}},
		{Method: "Maintenance/Snapshot", Req: &pb.SnapshotRequest{}},
		{Method: "Auth/Authenticate", Req: &pb.AuthenticateRequest{Name: "root", Password: "root"}},
	}
	for i := range ask {
		ask[i].As = "old"
	}
	p.compare(sessions, ask...)
}

// untilTokenEnds returns one of root's tokens that has ended. One that was used
// all the time must not have, unless this process was kept from using it.
func (s *session) untilTokenEnds() (string, error) {
	const every, tries = 250 * time.Millisecond, 60
	var unused []string
	for range tries {
		token, err := s.rootToken()
		if err != nil {
			return "", err
		}
		unused = append(unused, token)
	}
	used, stalled := time.Now(), false // when kept was used last, at the latest
	kept, err := s.rootToken()
	if err != nil {
		return "", err
	}
	for _, token := range unused {
		time.Sleep(every)
		before := used
		used = time.Now()
		err := s.useToken(kept)
		stalled = stalled || time.Since(before) > time.Second
		if err != nil && !stalled {
			return "", errors.Join(errors.New("a token ends that is used"), err)
		}
		switch err := s.useToken(token); {
		case status.Code(err) == codes.Unauthenticated:
			return token, nil
		case err != nil:
			return "", err
		}
	}
	return "", errors.New("no token ends")
}

func (s *session) rootToken() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	resp, err := pb.NewAuthClient(s.conn).Authenticate(ctx, &pb.AuthenticateRequest{Name: "root", Password: "root"})
	return resp.GetToken(), err
}

func (s *session) useToken(token string) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	_, err := pb.NewKVClient(s.conn).Range(metadata.AppendToOutgoingContext(ctx, "token", token), &pb.RangeRequest{Key: []byte("a")})
	return err
}
