package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// node is one member: what it needs to be started, and its process.
type node struct {
	name, dir    string
	client, peer string // host:port
	binary       string
	args         []string // the same at each start

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended; nil before the first start
	log  string        // file, of all its runs
	conn *grpc.ClientConn
}

func newNode(name, dir, binary, client, peer string) (*node, error) {
	conn, err := grpc.NewClient(client, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &node{
		name: name, dir: filepath.Join(dir, name), client: client, peer: peer, binary: binary,
		log: filepath.Join(dir, name+".log"), conn: conn,
	}, nil
}

// start runs the process with the flags that it always gets.
func (n *node) start() error {
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own copy
	n.cmd = exec.Command(n.binary, n.args...)
	n.cmd.Stdout, n.cmd.Stderr = log, log
	n.cmd.Env = cleanEnv(os.Environ())
	n.cmd.SysProcAttr = processAttributes()
	if err := n.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", n.name, err)
	}
	done, cmd := make(chan struct{}), n.cmd
	n.done = done
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(done)
	}()
	return nil
}

// cleanEnv drops what would configure a system beside its flags.
func cleanEnv(env []string) []string {
	var kept []string
	for _, e := range env {
		if !strings.HasPrefix(e, "ETCD_") && !strings.HasPrefix(e, "MUSTER_") {
			kept = append(kept, e)
		}
	}
	return kept
}

func (n *node) running() bool {
	if n.done == nil {
		return false
	}
	select {
	case <-n.done:
		return false
	default:
		return true
	}
}

// stop asks the process to end, as an operator or an init system would.
func (n *node) stop() error {
	if !n.running() {
		return nil
	}
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", n.name, err)
	}
	select {
	case <-n.done:
	case <-time.After(20 * time.Second):
		n.kill()
	}
	return nil
}

func (n *node) kill() {
	if n.running() {
		_ = n.cmd.Process.Kill() // it may have ended just now
		<-n.done
	}
}

func (n *node) wipe() error { return os.RemoveAll(n.dir) }

// close ends all that is left of it.
func (n *node) close() {
	n.kill()
	_ = n.conn.Close() // nothing to learn from it
}

// lastWords is the line of the log that tells best why a process ended.
func (n *node) lastWords() string {
	b, err := os.ReadFile(n.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	for _, l := range lines {
		if strings.HasPrefix(l, "panic: ") || strings.Contains(l, `"level":"fatal"`) || strings.Contains(l, `"level":"panic"`) {
			return shorten(l)
		}
	}
	return shorten(strings.Join(lines[max(0, len(lines)-2):], "; "))
}

func shorten(s string) string {
	if len(s) > 400 {
		return s[:400] + "…"
	}
	return s
}

// callTime bounds one question to one node.
const callTime = 2 * time.Second

// put writes one key and says whether that was acknowledged.
func (n *node) put(ctx context.Context, key, value string) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	_, err := pb.NewKVClient(n.conn).Put(ctx, &pb.PutRequest{Key: []byte(key), Value: []byte(value)})
	return err
}

// keys are those that the node answers with; serializable ones may be old.
func (n *node) keys(ctx context.Context, serializable bool) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	r, err := pb.NewKVClient(n.conn).Range(ctx, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Serializable: serializable})
	if err != nil {
		return nil, err
	}
	m := map[string]string{}
	for _, kv := range r.Kvs {
		m[string(kv.Key)] = string(kv.Value)
	}
	return m, nil
}

// status is the node's own word; clusterID is 0 for one in no cluster.
func (n *node) status(ctx context.Context) (clusterID uint64, leader bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	r, err := pb.NewMaintenanceClient(n.conn).Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return 0, false, err
	}
	return r.GetHeader().GetClusterId(), r.GetLeader() != 0, nil
}
