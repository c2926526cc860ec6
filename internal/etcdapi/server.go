package etcdapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"math"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/kv"
	"github.com/musterhq/muster/statemachine"
)

// Proposer is the member that requests are served by. Its methods are called
// by many goroutines at once.
type Proposer interface {
	// Propose replicates a command and returns what this member's machine made
	// of it. The command is kept and must not be changed afterwards. Errors are
	// those of [Faults].
	Propose(ctx context.Context, command []byte) (statemachine.Result, error)
	// ReadIndex returns once a read of the machine is linearizable.
	ReadIndex(ctx context.Context) (uint64, error)
	// Status never blocks, and what it returns is not changed.
	Status() *cluster.Status
	// Glance is a little of Status, for every answer.
	Glance() cluster.Glance
	// Why says what the member waits for; empty when all is well.
	Why() []event.Reason
}

// Membership carries out what an operator asks of the cluster.
type Membership interface {
	// Announce says that a member is to come to one of the peer URLs.
	Announce(ctx context.Context, peerURLs []string, learner bool) (cluster.Announced, error)
	// Promote has a learner vote, as soon as the policy wants one more.
	Promote(ctx context.Context, id cluster.NodeID) error
	// Readdress says where a member that is announced will be, or one that moves.
	Readdress(ctx context.Context, id cluster.NodeID, peerURLs []string) error
	// RemoveBelowFloor removes a member, but not where the others would have no
	// quorum; etcd knows no other limit. It takes an announcement back.
	RemoveBelowFloor(ctx context.Context, id cluster.NodeID) error
	Transfer(ctx context.Context, to cluster.NodeID) error
}

// Store is what reads are served from, concurrently with the writes that the
// Proposer applies to it.
type Store interface {
	Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error)
	// RangeStream is Range in parts of about chunk bytes.
	RangeStream(ctx context.Context, r *pb.RangeRequest, chunk int, send func(*pb.RangeResponse) error) error
	// ReadTxn carries out a transaction that holds no put and no delete.
	ReadTxn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error)
	// Revision is the current revision and the one up to which history is gone.
	Revision() (current, compacted int64)
	// Alarms are those that are raised. They must not be changed.
	Alarms() []*pb.AlarmMember
	// Hash is over all that is replicated, HashKV over the keys as of a revision.
	Hash(ctx context.Context) (sum uint32, rev int64, err error)
	HashKV(ctx context.Context, rev int64) (kv.KeysHash, error)
	// Backup is an image to be sent; it must be closed.
	Backup() (*kv.Backup, error)
	// NewWatches makes a group of watches, which its user closes.
	NewWatches() *kv.Watches
	// Auth is who may do what. It is never nil.
	Auth() *kv.Auth
	// LeaseKeys lists the keys that hang on a lease.
	LeaseKeys(id int64) ([][]byte, error)
	// Purged returns once what is compacted is deleted.
	Purged(ctx context.Context) error
	WatchStats() kv.WatchStats
}

const (
	// DefaultMaxRequestBytes bounds one write, as in etcd.
	DefaultMaxRequestBytes = 3 << 19 // 1.5 MiB
	// overheadBytes is what a message may hold beyond the request, as in etcd.
	overheadBytes = 512 << 10

	// maxHeaderBytes bounds a request's metadata, as package http bounds headers.
	maxHeaderBytes = 1 << 20
	// streamWorkers goroutines serve streams without being started anew, which
	// saves growing a stack for each request. A request that waits for a quorum
	// keeps one meanwhile, and so does each open watch. With 256 of them, reads
	// of 1000 clients measured a tenth to a fifth less CPU time than with 32 or
	// none; with 1024, no less, and 25 MiB more.
	streamWorkers = 256
)

// Config is what a Server is made of. All fields but those with a default are
// required.
type Config struct {
	Proposer   Proposer
	Membership Membership
	Store      Store
	Leases     Leases
	// Size is the number of bytes the store takes on disk, and how many of
	// them are in use.
	Size func() (total, used int64)
	// Quota bounds the store; nil: nothing does.
	Quota Quota
	// SnapshotBytesPerSecond bounds how fast snapshots go to clients, all of them
	// together. Default: not at all.
	SnapshotBytesPerSecond int64
	// Faults are the Proposer's errors.
	Faults Faults
	// Version is what Maintenance.Status calls the server's version.
	Version string
	// RequestTimeout bounds how long a request waits for a leader and a quorum.
	// Default 7 s, etcd's 5 s and two election timeouts of 1 s.
	RequestTimeout time.Duration
	// MinLeaseTTL is what shorter leases are granted for, in seconds. Default 2,
	// which is etcd's: one and a half election timeouts of 1 s.
	MinLeaseTTL int64
	// PeerScheme goes before the members' peer addresses: https where they speak
	// TLS. Default http.
	PeerScheme string
	// MaxRequestBytes bounds one write. Default [DefaultMaxRequestBytes].
	MaxRequestBytes int
	// ProgressInterval is the time between progress notifications of watches.
	// Default [DefaultProgressInterval], at least 100 ms.
	ProgressInterval time.Duration
	// Ready returns once the member has known a leader and caught up with it since
	// it was started. Streams of clients that require a leader wait for it.
	// Optional.
	Ready func(context.Context) error
	// ElectionTimeout is the cluster's; three of them without a leader end the
	// streams of clients that require one. Default 1 s.
	ElectionTimeout time.Duration
	// Auth is how callers are told apart.
	Auth Authentication
	// MaxTxnOps bounds the operations of a transaction. Default [kv.MaxTxnOps].
	MaxTxnOps int
}

// Server implements etcd's services. Its methods are safe for concurrent use.
type Server struct {
	cfg       Config
	faults    []fault
	snapshots snapshots

	secret    string        // by which requests to itself are known, see OnBehalf
	ending    chan struct{} // closed by EndStreams
	endOnce   sync.Once
	requiring requiring
	caughtUp  caughtUp
	passwords *passwords
	newest    atomic.Pointer[told]
}

// New returns a Server; it starts nothing.
func New(cfg Config) *Server {
	if cfg.RequestTimeout == 0 {
		cfg.RequestTimeout = 7 * time.Second
	}
	if cfg.MaxRequestBytes == 0 {
		cfg.MaxRequestBytes = DefaultMaxRequestBytes
	}
	cfg.PeerScheme = cmp.Or(cfg.PeerScheme, "http")
	cfg.MinLeaseTTL = cmp.Or(cfg.MinLeaseTTL, 2)
	if cfg.ProgressInterval == 0 {
		cfg.ProgressInterval = DefaultProgressInterval
	}
	cfg.ProgressInterval = max(cfg.ProgressInterval, minProgressInterval)
	if cfg.ElectionTimeout == 0 {
		cfg.ElectionTimeout = time.Second
	}
	cfg.MaxTxnOps = cmp.Or(cfg.MaxTxnOps, kv.MaxTxnOps)
	return &Server{
		cfg: cfg, faults: cfg.Faults.table(), snapshots: newSnapshots(cfg.SnapshotBytesPerSecond),
		ending: make(chan struct{}), secret: rand.Text(),
		caughtUp: caughtUp{came: hasNothing(cfg.Proposer.Status())}, passwords: newPasswords(),
	}
}

// Options are the gRPC options under which the services behave as etcd's do:
// limits, keepalive, and the refusal of clients that require a leader.
func (s *Server) Options() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.NumStreamWorkers(streamWorkers),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.MaxRecvMsgSize(s.MaxMessageBytes()),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxSendMsgSize(math.MaxInt32),
		grpc.MaxConcurrentStreams(math.MaxUint32),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * time.Hour, Timeout: 20 * time.Second}),
		grpc.UnaryInterceptor(s.requireLeaderUnary),
		grpc.ChainUnaryInterceptor(s.admitUnary, s.checkQuota),
		grpc.ChainStreamInterceptor(s.requireLeaderStream, s.admitStream),
	}
}

// MaxMessageBytes is how long a message from a client may be.
func (s *Server) MaxMessageBytes() int { return s.cfg.MaxRequestBytes + overheadBytes }

// Register adds the services to a gRPC server made with [Server.Options].
func (s *Server) Register(r grpc.ServiceRegistrar) {
	pb.RegisterKVServer(r, &kvService{Server: s})
	pb.RegisterClusterServer(r, &clusterService{Server: s})
	pb.RegisterMaintenanceServer(r, &maintenanceService{Server: s})
	pb.RegisterLeaseServer(r, &leaseService{Server: s})
	pb.RegisterWatchServer(r, &watchService{Server: s})
	pb.RegisterAuthServer(r, &authService{Server: s})
}

// EndStreams ends the streams that would not end by themselves, in such a way
// that their clients go on at another member, and refuses new ones.
func (s *Server) EndStreams() { s.endOnce.Do(func() { close(s.ending) }) }

// bound is for what waits for a leader or a quorum. As in etcd, a client that
// would wait for longer is told, too, and can ask another member.
func (s *Server) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.cfg.RequestTimeout)
}

// confirm returns once what is read here is linearizable. The error is the Proposer's.
func (s *Server) confirm(ctx context.Context) error {
	ctx, cancel := s.bound(ctx)
	defer cancel()
	_, err := s.cfg.Proposer.ReadIndex(ctx)
	return err
}

// patient is for changes of members, and for the turn of a password, which may
// take as long as their clients say.
func (s *Server) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return s.bound(ctx)
}

// fill completes a header; a revision that is set already stays.
func (s *Server) fill(h *pb.ResponseHeader) {
	st := s.cfg.Proposer.Glance()
	h.ClusterId = st.ClusterID.Uint64()
	h.MemberId = uint64(st.KnownAs())
	h.RaftTerm = st.Term
	if h.Revision == 0 {
		h.Revision, _ = s.cfg.Store.Revision()
	}
}

func (s *Server) header() *pb.ResponseHeader {
	h := &pb.ResponseHeader{}
	s.fill(h)
	return h
}
