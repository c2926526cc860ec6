package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"golang.org/x/term"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// login is as whom a command asks; without a name, as nobody.
type login struct {
	user           string // as given: NAME or NAME:PASSWORD
	name, password string
}

func (l *login) register(set *pflag.FlagSet) {
	set.StringVar(&l.user, "user", "", "NAME[:PASSWORD] to ask as, where authentication is enabled (env MUSTER_USER)")
}

// complete finds out the name and the password, if need be from the terminal.
func (l *login) complete(cmd *cobra.Command, a *app) error {
	if !cmd.Flags().Changed("user") {
		for _, kv := range a.environ {
			if v, ok := strings.CutPrefix(kv, "MUSTER_USER="); ok {
				l.user = v
			}
		}
	}
	var given bool
	l.name, l.password, given = strings.Cut(l.user, ":")
	if given || l.name == "" {
		return nil
	}
	in, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return usage("--user %s: there is no terminal to ask for the password: give it as NAME:PASSWORD, best in MUSTER_USER", l.name)
	}
	fmt.Fprintf(a.err, "Password of %s: ", l.name)
	b, err := term.ReadPassword(int(in.Fd()))
	fmt.Fprintln(a.err)
	if err != nil {
		return fmt.Errorf("read the password: %w", err)
	}
	l.password = string(b)
	return nil
}

// on is the connection as whom the command asks. Where authentication is not
// enabled, that is all the same.
func (l *login) on(ctx context.Context, conn *grpc.ClientConn) (grpc.ClientConnInterface, error) {
	if l.name == "" {
		return conn, nil
	}
	resp, err := pb.NewAuthClient(conn).Authenticate(ctx, &pb.AuthenticateRequest{Name: l.name, Password: l.password})
	if errors.Is(err, rpctypes.ErrGRPCAuthNotEnabled) {
		return conn, nil
	}
	if err != nil {
		return nil, errors.New(withoutOurName(status.Convert(err)))
	}
	return withToken{conn, resp.GetToken()}, nil
}

// withToken says in each request who asks.
type withToken struct {
	grpc.ClientConnInterface
	token string
}

// Invoke implements grpc.ClientConnInterface.
func (c withToken) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return c.ClientConnInterface.Invoke(c.say(ctx), method, args, reply, opts...)
}

// NewStream implements grpc.ClientConnInterface.
func (c withToken) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return c.ClientConnInterface.NewStream(c.say(ctx), desc, method, opts...)
}

func (c withToken) say(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, c.token)
}

// whoAsks explains the error of who didn't say who asks; nil if it isn't that.
func whoAsks(err error) error {
	if !errors.Is(err, rpctypes.ErrGRPCUserEmpty) {
		return nil
	}
	return &hinted{errors.New("authentication is enabled, and nobody said who asks"), "Say so with --user NAME, or in MUSTER_USER."}
}
