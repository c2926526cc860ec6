package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/internal/loopback"
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
	Name   string
	Client string // host:port

	kind   Kind
	binary string
	all    []*Member
	dir    string
	peer   string // host:port
	log    string // file, of all its runs

	cmd  *exec.Cmd     // nil while it doesn't run
	done chan struct{} // closed when the process has ended
}

// Start returns a cluster of n members that answers linearizable reads at
// every one. It ends with the test.
func Start(t testing.TB, kind Kind, n int) *Cluster {
	t.Helper()
	binary, err := kind.Build()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	addrs := loopback.Addrs(t, 2*n)
	c := &Cluster{Kind: kind}
	for i := range n {
		name := fmt.Sprint("n", i+1)
		c.Members = append(c.Members, &Member{
			Name: name, Client: addrs[2*i], kind: kind, binary: binary,
			dir: filepath.Join(dir, name), peer: addrs[2*i+1], log: filepath.Join(dir, name+".log"),
		})
	}
	t.Cleanup(c.stop)
	for _, m := range c.Members {
		m.all = c.Members
		if err := m.Start(); err != nil {
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

func (c *Cluster) stop() {
	for _, m := range c.Members {
		m.Kill()
	}
}

// Start starts the process; a member that ran before goes on where it ended.
func (m *Member) Start() error {
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the child has its own copy
	cmd := exec.Command(m.binary, slices.Concat(m.kind.args(m, m.all), m.kind.flags)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(cleanEnv(os.Environ()), "MUSTER_BCRYPT_COST=4") // as etcd's flag
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	m.cmd, m.done = cmd, make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(m.done)
	}()
	return nil
}

// cleanEnv drops what would configure the servers.
func cleanEnv(env []string) []string {
	kept := make([]string, 0, len(env))
	for _, e := range env {
		if !strings.HasPrefix(e, "ETCD_") && !strings.HasPrefix(e, "MUSTER_") {
			kept = append(kept, e)
		}
	}
	return kept
}

// Binary is the program that the member runs.
func (m *Member) Binary() string { return m.binary }

// Dir is where the member keeps its data.
func (m *Member) Dir() string { return m.dir }

// Kill ends the process at once, as kill -9 does, and returns when it is gone.
func (m *Member) Kill() {
	if m.cmd == nil {
		return
	}
	_ = m.cmd.Process.Kill() // it may have ended already
	<-m.done
	m.cmd = nil
}

// Stop ends the process as an operator does, and returns when it is gone.
func (m *Member) Stop() error {
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-m.done:
		m.cmd = nil
		return nil
	case <-time.After(Patience):
		return fmt.Errorf("%s %s doesn't stop", m.kind.Name, m.Name)
	}
}

// shownOfLog is how much is shown of a log, in bytes.
const shownOfLog = 2000

// Alive is an error that holds the log of a process that ended by itself, from
// where it panicked, or the end of it.
func (m *Member) Alive() error {
	select {
	case <-m.done:
		log, _ := os.ReadFile(m.log) // an empty one says as much
		last := log[max(0, len(log)-shownOfLog):]
		if i := bytes.Index(log, []byte("panic")); i >= 0 {
			last = log[max(0, i-shownOfLog/2):min(len(log), i+shownOfLog/2)]
		} else if i := bytes.Index(log, []byte(`"level":"fatal"`)); i >= 0 {
			last = log[i:min(len(log), i+shownOfLog)]
		}
		return fmt.Errorf("%s %s ended by itself: %s", m.kind.Name, m.Name, last)
	default:
		return nil
	}
}

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
	end := time.Now().Add(Patience)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		_, err := pb.NewKVClient(conn).Range(ctx, &pb.RangeRequest{Key: []byte("ready")}, grpc.WaitForReady(true))
		cancel()
		switch status.Code(err) {
		case codes.OK, codes.InvalidArgument, codes.DataLoss:
			return nil
		}
		if dead := m.Alive(); dead != nil {
			return dead
		}
		if time.Now().After(end) {
			return errors.Join(fmt.Errorf("%s %s isn't ready", m.kind.Name, m.Name), err)
		}
	}
}
