package system

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/internal/loopback"
	"github.com/musterhq/muster/internal/testproc"
)

// Patience is how long a test waits for what has to happen before it gives up.
// It says nothing about how fast the systems are: the machine may be busy.
const Patience = time.Minute

// Cluster is a number of members that found a cluster together.
type Cluster struct {
	Kind    Kind
	Members []*Member
}

// Member is one process and what it needs to be started again.
type Member struct {
	*testproc.Member
	kind   Kind
	binary string
	all    []*testproc.Member
}

// Start returns a cluster of n members that answers linearizable reads at
// every one. It ends with the test.
func Start(t testing.TB, kind Kind, n int) *Cluster {
	t.Helper()
	binary, err := kind.Build()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("n", i+1))
	}
	all := testproc.Members(t.TempDir(), loopback.Addrs(t, 2*n), names...)
	c := &Cluster{Kind: kind}
	for _, m := range all {
		m.Env = []string{"MUSTER_BCRYPT_COST=4"} // as etcd's flag
		started := &Member{Member: m, kind: kind, binary: binary, all: all}
		c.Members = append(c.Members, started)
		t.Cleanup(m.Kill)
		if err := started.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range c.Members {
		if err := m.WaitReady(); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// Endpoints are the members' addresses for clients, in their order.
func (c *Cluster) Endpoints() []string {
	var out []string
	for _, m := range c.Members {
		out = append(out, m.Client)
	}
	return out
}

// Start starts the process; a member that ran before goes on where it ended.
func (m *Member) Start() error {
	return m.Member.Start(m.binary, slices.Concat(m.kind.args(m), m.kind.flags)...)
}

// Binary is the program that the member runs.
func (m *Member) Binary() string { return m.binary }

// Stop ends the process as an operator does, and returns when it is gone.
func (m *Member) Stop() error { return m.Member.Stop(Patience) }

// Dial returns a connection to the member, and to no other.
func (m *Member) Dial() (*grpc.ClientConn, error) {
	creds, err := m.kind.credentials()
	if err != nil {
		return nil, err
	}
	return grpc.NewClient("passthrough:///"+m.Client, grpc.WithTransportCredentials(creds),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)))
}

// WaitReady returns when the member answers a linearizable read, or refuses it:
// nobody is allowed to read, or the data is known to be damaged.
func (m *Member) WaitReady() error {
	conn, err := m.Dial()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	return testproc.Await(ctx, func() error {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte("ready")}, grpc.WaitForReady(true))
		switch status.Code(err) {
		case codes.OK, codes.InvalidArgument, codes.DataLoss:
			return nil
		}
		return err
	}, &m.Process)
}
