package differential

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// passwords are all that the programs give to root.
var passwords = []string{"root", "other"}

// reset undoes what a program did: there are no keys afterwards, no history,
// no leases, alarms, users or roles. The revision goes on.
// k are those who sign tokens; nil: nobody does.
func reset(conns []*grpc.ClientConn, k *signers) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	conn := conns[0]
	for _, do := range []func(context.Context, *grpc.ClientConn) error{
		disableAuth(k), dropUsers, dropRoles, disarm, dropMembers(len(conns)), dropLeases, dropKeys,
	} {
		if err := do(ctx, conn); err != nil && status.Code(err) != codes.Unimplemented {
			return err
		}
	}
	return nil
}

func disableAuth(k *signers) func(context.Context, *grpc.ClientConn) error {
	return func(ctx context.Context, conn *grpc.ClientConn) error {
		auth := pb.NewAuthClient(conn)
		st, err := auth.AuthStatus(ctx, &pb.AuthStatusRequest{})
		if status.Code(err) != codes.InvalidArgument && !st.GetEnabled() {
			return err
		}
		if k != nil {
			asRoot := metadata.AppendToOutgoingContext(ctx, "token", k.root())
			if _, err := auth.AuthDisable(asRoot, &pb.AuthDisableRequest{}); err == nil {
				return nil
			}
		}
		return disableAsRoot(ctx, auth)
	}
}

func disableAsRoot(ctx context.Context, auth pb.AuthClient) error {
	var last error
	for _, password := range passwords {
		token, err := auth.Authenticate(ctx, &pb.AuthenticateRequest{Name: "root", Password: password})
		if err != nil {
			last = err
			continue
		}
		asRoot := metadata.AppendToOutgoingContext(ctx, "token", token.Token)
		_, err = auth.AuthDisable(asRoot, &pb.AuthDisableRequest{})
		return err
	}
	return fmt.Errorf("log in as root: %w", last)
}

func dropUsers(ctx context.Context, conn *grpc.ClientConn) error {
	auth := pb.NewAuthClient(conn)
	users, err := auth.UserList(ctx, &pb.AuthUserListRequest{})
	if err != nil {
		return err
	}
	for _, u := range users.Users {
		if _, err := auth.UserDelete(ctx, &pb.AuthUserDeleteRequest{Name: u}); err != nil {
			return err
		}
	}
	return nil
}

func dropRoles(ctx context.Context, conn *grpc.ClientConn) error {
	auth := pb.NewAuthClient(conn)
	roles, err := auth.RoleList(ctx, &pb.AuthRoleListRequest{})
	if err != nil {
		return err
	}
	for _, r := range roles.Roles {
		if _, err := auth.RoleDelete(ctx, &pb.AuthRoleDeleteRequest{Role: r}); err != nil {
			return err
		}
	}
	return nil
}

func disarm(ctx context.Context, conn *grpc.ClientConn) error {
	m := pb.NewMaintenanceClient(conn)
	alarms, err := m.Alarm(ctx, &pb.AlarmRequest{})
	if err != nil {
		return err
	}
	for _, a := range alarms.Alarms {
		req := &pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: a.MemberID, Alarm: a.Alarm}
		if _, err := m.Alarm(ctx, req); err != nil {
			return err
		}
	}
	return nil
}

// dropMembers removes those that never started; started is how many did.
func dropMembers(started int) func(context.Context, *grpc.ClientConn) error {
	return func(ctx context.Context, conn *grpc.ClientConn) error {
		cluster := pb.NewClusterClient(conn)
		list, err := cluster.MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
		if err != nil {
			return err
		}
		for _, m := range list.Members {
			if m.Name != "" {
				started--
				continue
			}
			if _, err := cluster.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: m.ID}); err != nil {
				return err
			}
		}
		if started != 0 {
			return fmt.Errorf("%d members are missing", started)
		}
		return nil
	}
}

func dropLeases(ctx context.Context, conn *grpc.ClientConn) error {
	lease := pb.NewLeaseClient(conn)
	leases, err := lease.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
	if err != nil {
		return err
	}
	for _, l := range leases.Leases {
		if _, err := lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: l.ID}); err != nil {
			return err
		}
	}
	return nil
}

// dropKeys puts one before it deletes all, for the revision is to move: a
// store can't be compacted at the same one twice.
func dropKeys(ctx context.Context, conn *grpc.ClientConn) error {
	kv := pb.NewKVClient(conn)
	if _, err := kv.Put(ctx, &pb.PutRequest{Key: []byte("reset")}); err != nil {
		return err
	}
	resp, err := kv.DeleteRange(ctx, &pb.DeleteRangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
	if err != nil {
		return err
	}
	_, err = kv.Compact(ctx, &pb.CompactionRequest{Revision: resp.Header.Revision})
	return err
}
