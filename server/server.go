package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/etcdapi"
	"github.com/musterhq/muster/internal/lessor"
	"github.com/musterhq/muster/internal/lockapi"
	"github.com/musterhq/muster/kv"
	"github.com/musterhq/muster/statemachine"
)

// member is what a server needs of a *muster.Node; tests give their own.
type member interface {
	etcdapi.Proposer
	etcdapi.Membership
	Remove(ctx context.Context, id cluster.NodeID) error
	HandOver(ctx context.Context)
	Leave(ctx context.Context) error
	LeaveBelowFloor(ctx context.Context) error
	SetPolicy(ctx context.Context, settings map[string]string, why string) error
	Plan(ctx context.Context, suppose string) (event.Forecast, error)
	Survey(ctx context.Context) event.Survey
	AbandonGenesis(ctx context.Context, gone []string) error
	Ask(ctx context.Context, to cluster.NodeID, question []byte) ([]byte, error)
	Ready(ctx context.Context) error
	Stop(ctx context.Context) error
	Close() error
	Done() <-chan struct{}
	Err() error
	PeerAddr() string
	Traffic() []cluster.Traffic
}

var (
	_ member               = (*muster.Node)(nil)
	_ statemachine.Machine = (*kv.Store)(nil)
)

// Server is one running member and its client port. Its methods are safe for
// concurrent use.
type Server struct {
	cfg       Config
	log       *slog.Logger
	node      member
	store     store
	quota     *quota // nil: none
	leases    *lessor.Keeper
	size      func() (total, used int64)
	events    *recorder
	tally     *tally
	port      *splitter
	api       *etcdapi.Server
	grpc      *grpc.Server
	health    *health.Server
	http      *http.Server
	inner     *inner
	locks     *lockapi.Server
	gateway   *sockets     // nil: there is none
	probing   *http.Server // on ListenMetrics
	advertise string

	peerTimeout time.Duration // see the constant; a test may have more patience, before it asks

	begun         chan struct{}   // closed when the node has been ready
	background    context.Context // ends with the node; for what runs beside the requests
	endBackground context.CancelFunc
	stopping      context.Context // ends when no new requests are taken any more
	stopRequests  context.CancelFunc

	leaving atomic.Bool  // Stop has begun: not ready any more
	changes atomic.Int64 // requests under way that change the cluster, over HTTP
	once    sync.Once
	group   sync.WaitGroup // goroutines of this server
	done    chan struct{}
	err     error // why it stopped by itself; set before done is closed
}

// Start opens the client port and starts the member. It returns as soon as
// both run; [Server.Ready] waits for the cluster. ctx bounds starting only. On
// an error nothing is left behind.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := cfg.TLS.try(); err != nil {
		return nil, err
	}
	auth, err := cfg.Auth.authentication(cfg.TLS.ClientAuth)
	if err != nil {
		return nil, err
	}
	p, err := cfg.listen()
	if err != nil {
		return nil, err
	}
	advertise := cfg.advertised(p.clients)
	t := newTally(cfg.Metrics == "extensive")
	store := kv.New(kv.Options{
		CacheBytes: cfg.CacheBytes, Logger: cfg.Node.Logger, Fatal: cfg.Fatal, Tokens: auth.Tokens,
		OnCommit: func(took time.Duration) { t.commit.Observe(took.Seconds()) },
	})
	of := parts{store: store, size: store.Size, events: &recorder{}, tally: t, auth: auth}
	nc, early := nodeConfig(cfg, advertise, of), &early{store: store}
	early.hear(&nc)
	node, err := muster.Start(ctx, nc, store)
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	if err := cfg.secure(p, advertise); err != nil {
		return nil, errors.Join(err, p.close(), node.Close())
	}
	of.node = node
	s := newServer(cfg, of)
	s.advertise, _, _ = strings.Cut(advertise, ",")
	s.serveMetrics(p.metrics)
	s.serve(p.clients...)
	early.leases.Store(s.leases)
	return s, nil
}

// nodeConfig is the node's part of cfg with what the server adds to it.
func nodeConfig(cfg Config, advertise string, of parts) muster.Config {
	c := cfg.Node
	c.MaxCommandBytes = cfg.commandBytes()
	c.ClientAdvertise = advertise
	c.OnLogSync = func(took time.Duration) { of.tally.logSync.Observe(took.Seconds()) }
	c.OnRoundTrip = of.tally.roundTrip
	next := c.OnEvent
	c.OnEvent = func(e event.Event) {
		of.events.add(e, time.Now())
		if next != nil {
			next(e)
		}
	}
	return c
}

// parts are what a server is made of.
type parts struct {
	node   member
	store  store
	size   func() (total, used int64)
	events *recorder
	tally  *tally
	auth   etcdapi.Authentication
}

// newServer puts the parts together; serve starts them.
func newServer(cfg Config, of parts) *Server {
	s := &Server{
		cfg: cfg, log: cfg.Node.Logger, store: of.store, size: of.size, tally: of.tally,
		events: of.events, done: make(chan struct{}), begun: make(chan struct{}), peerTimeout: peerTimeout,
	}
	node := attended{of.node, of.store.Alarms, of.tally}
	s.node = node
	s.tally.known.Store(&s.node) // the node greets others already
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.background, s.endBackground = context.WithCancel(context.Background())
	s.stopping, s.stopRequests = context.WithCancel(context.Background())
	api := etcdapi.New(s.withQuota(etcdapi.Config{
		Proposer: node, Membership: node, Store: of.store, Size: of.size, Faults: faults(),
		Version: EtcdVersion, RequestTimeout: cfg.RequestTimeout, PeerScheme: scheme(cfg.Node.PeerTLS.CertFile != "" || cfg.Node.PeerTLS.Auto),
		Auth: of.auth, Leases: s.keepLeases(), MinLeaseTTL: cfg.minLeaseTTL(),
		SnapshotBytesPerSecond: cfg.Node.SnapshotSendBytesPerSecond,
		ProgressInterval:       cfg.WatchProgressInterval, ElectionTimeout: cfg.election(), Ready: s.hasBegun,
		MaxTxnOps: cfg.Limits.TxnOps, MaxRequestBytes: cfg.Limits.RequestBytes,
	}))
	s.api = api
	s.inner = newInner()
	s.locks = lockapi.New(s.inner.conn, api.OnBehalf)
	s.grpc = s.newGRPC(api)
	if !cfg.HTTP.NoGateway {
		limit := jsonPerByte * int64(api.MaxMessageBytes())
		s.gateway = newSockets(newGateway(s.inner.conn, limit), limit)
	}
	metrics := s.metrics()
	sites, _ := changers(cfg.HTTP.CORS) // validate has seen to it
	s.http = s.newHTTP(&access{cors: cfg.HTTP.CORS, hosts: cfg.HTTP.HostWhitelist, sites: sites, next: s.routes(metrics)})
	s.probing = s.newHTTP(s.probeRoutes(metrics))
	return s
}

func faults() etcdapi.Faults {
	return etcdapi.Faults{
		UnknownOutcome: muster.ErrUnknownOutcome, NotLeader: muster.ErrNotLeader,
		Overloaded: muster.ErrOverloaded, NotMember: muster.ErrNotMember,
		Refused: muster.ErrRefused, Removed: muster.ErrRemoved,
		Stopped: muster.ErrStopped, TooLarge: muster.ErrTooLarge,
	}
}

// serve starts the goroutines. It is called once.
func (s *Server) serve(ls ...net.Listener) {
	s.port = split(newComplaints(s.log), s.tally, ls...)
	s.group.Go(func() { s.ended("gRPC", s.grpc.Serve(s.port.http2)) })
	s.group.Go(func() { s.ended("HTTP", s.http.Serve(s.port.http1)) })
	s.group.Go(func() { s.tellHealth(s.background) })
	s.group.Go(func() { s.ended("inner", s.grpc.Serve(s.inner.listener)) })
	s.leases.Start()
	for _, l := range ls {
		_, secure := l.(secured)
		s.log.Info("serving clients", "addr", l.Addr().String(), "tls", secure)
	}
	if w := openDoor(s.cfg.Node); w != "" {
		s.log.Warn(w, "node", s.cfg.Node.Name)
	}
	if s.quota != nil {
		s.group.Go(func() { s.keepQuota(s.background) })
	}
	if s.cfg.CorruptCheck.on() {
		s.group.Go(func() { s.keepChecking(s.background, s.cfg.CorruptCheck) })
	}
	s.group.Go(s.autoCompact)
	s.group.Go(func() { s.logAlarms(s.background) })
	go s.watch()
}

// ended logs why one of the two servers gave up, unless it was told to.
func (s *Server) ended(what string, err error) {
	if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, grpc.ErrServerStopped) {
		s.log.Error("no longer serving clients", "protocol", what, "err", err)
	}
}

// watch ends the server when its node has ended, for whatever reason. Requests
// in flight, such as the very one that made the node leave, are answered first.
func (s *Server) watch() {
	<-s.node.Done()
	s.endBackground()
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	s.drain(ctx)
	s.leases.Close()
	s.group.Wait()
	s.err = s.node.Err()
	close(s.done)
}

// drainTime bounds how long a server whose node has stopped answers what is in
// flight; every request that needs the node fails at once by then.
const drainTime = time.Second

// closePort stops serving clients at once. It is idempotent.
func (s *Server) closePort() {
	s.once.Do(func() {
		s.inner.close()
		_ = s.port.Close() // nothing is lost with a listener
		s.grpc.Stop()
		s.closeWeb()
		_ = s.probing.Close()
	})
}

// Ready returns when the member knows its leader and has caught up with it; on
// ctx's end the error says what is waited for.
func (s *Server) Ready(ctx context.Context) error { return s.node.Ready(ctx) }

// Stop hands leadership and vote over, lets the requests in flight end, and closes, all
// within ctx; what is left at its end is cut off. Streams that don't end by
// themselves, and answers that clients don't take, are cut off within a second.
// Membership is kept.
func (s *Server) Stop(ctx context.Context) error {
	s.leaving.Store(true)
	s.node.HandOver(ctx) // while clients are still served, so that they lose nothing by it
	s.drain(ctx)
	err := s.node.Stop(ctx)
	<-s.done
	return err
}

// Close stops at once, without handing leadership over. It is idempotent and
// returns when every goroutine has ended and all files are closed.
func (s *Server) Close() error {
	s.leaving.Store(true)
	s.closePort()
	err := s.node.Close()
	<-s.done
	return err
}

// Done is closed when the server has stopped, for whatever reason.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is nil while the server runs and after Stop or Close; else why its node
// stopped by itself: muster.ErrRemoved, or a failed disk.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Status is what this member knows now.
func (s *Server) Status() *cluster.Status { return s.node.Status() }

// Why says what this member waits for.
func (s *Server) Why() []event.Reason { return s.node.Why() }

// ClientAddr is the address that is told to clients: host:port, or
// https://host:port where they are to speak TLS.
func (s *Server) ClientAddr() string { return s.advertise }

// PeerAddr is the address that other members reach this one at.
func (s *Server) PeerAddr() string { return s.node.PeerAddr() }

func voters(st *cluster.Status) (n int) {
	for _, m := range st.Members {
		if m.Role == cluster.Voter {
			n++
		}
	}
	return n
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
