package differential

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// lead carries out the steps about who leads.
func (s *session) lead(step Step) error {
	if step.Method == moveMethod {
		if err := s.moveTo(s.selves[step.Member]); err != nil {
			return err
		}
	}
	return s.untilLed(s.selves[step.Member])
}

// moveTo has whoever leads give the lead to a member, as root.
func (s *session) moveTo(to uint64) error {
	return s.eventually(func() (bool, error) {
		for _, conn := range s.conns {
			st, err := s.statusOf(conn)
			if err != nil {
				return false, err
			}
			if st.Leader == to {
				return true, nil
			}
			if st.Leader != st.Header.MemberId {
				continue
			}
			ctx, cancel := context.WithTimeout(s.context("root"), callTimeout)
			defer cancel()
			_, err = pb.NewMaintenanceClient(conn).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: to})
			if status.Code(err) == codes.FailedPrecondition { // it has just lost the lead
				return false, nil
			}
			return err == nil, err
		}
		return false, nil
	})
}

// untilLed asks until every member says that this one leads.
func (s *session) untilLed(by uint64) error {
	for _, conn := range s.conns {
		if err := s.eventually(func() (bool, error) {
			st, err := s.statusOf(conn)
			return st.GetLeader() == by, err
		}); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) statusOf(conn *grpc.ClientConn) (*pb.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(s.context("root"), callTimeout)
	defer cancel()
	return pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
}
