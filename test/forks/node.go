package main

import (
	"context"
	"os"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/musterhq/muster/internal/testproc"
)

// node is one member and a connection to it.
type node struct {
	*testproc.Member
	binary string
	args   []string // the same at each start
	conn   *grpc.ClientConn
}

func newNode(m *testproc.Member, binary string) (*node, error) {
	conn, err := grpc.NewClient(m.Client, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &node{Member: m, binary: binary, conn: conn}, nil
}

// start runs the process with the flags that it always gets.
func (n *node) start() error { return n.Start(n.binary, n.args...) }

// stop asks the process to end, as an operator or an init system would, who
// kill it if it doesn't.
func (n *node) stop() {
	if err := n.Stop(20 * time.Second); err != nil {
		n.Kill()
	}
}

func (n *node) wipe() error { return os.RemoveAll(n.Dir) }

// close ends all that is left of it.
func (n *node) close() {
	n.Kill()
	_ = n.conn.Close() // nothing to learn from it
}

// lastWords tell best why a process ended.
func (n *node) lastWords() string {
	words := strings.ReplaceAll(n.LastWords(2), "\n", "; ")
	if len(words) > 400 {
		return words[:400] + "…"
	}
	return words
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
