package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/discovery"
	"github.com/musterhq/muster/discovery/spec"
	"github.com/musterhq/muster/server"
)

// stopTime bounds the hand-over of leadership and the end of the requests in
// flight when serve is told to stop.
const stopTime = 5 * time.Second

// gcPercent trades memory for speed: with 200, reads measured a tenth less CPU
// time than with Go's 100, and with 400 no less, but a third more memory. GOGC in
// the environment overrides it.
const gcPercent = 200

// serveFlags are the flags of serve, each also a variable and a key of the
// configuration file.
type serveFlags struct {
	name, dataDir, cluster, zone string
	pinFile                      string
	listen, advertise            string
	peerListen, peerAdvertise    string
	seeds, discover              []string
	joinOnly, single             bool
	expect                       int
	heartbeat, election          time.Duration
	watchProgress                time.Duration
	snapshotLog, snapshotRate    int64 // bytes; bytes a second
	quota                        int64 // bytes
	checkTime                    time.Duration
	checkFirst                   bool
	logLevel, logFormat          string
	config                       string
	peerTLS                      muster.PeerTLS
	port                         server.Config // the client port's part
	joinTokenFile                string
	etcdFlags, gateway           bool
	limits                       storeFlags
}

func (f *serveFlags) register(set *pflag.FlagSet) {
	set.StringVar(&f.name, "name", "", "name of the member, unique in the cluster (default: the host name)")
	set.StringVar(&f.dataDir, "data-dir", "", "the node's own directory; its identity lives and dies with it (default: NAME.muster)")
	set.StringVar(&f.pinFile, "pin-file", "", "a file outside --data-dir that keeps the cluster's ID, so that a node that lost its disk founds and joins no other (default: none)")
	set.StringVar(&f.cluster, "cluster", "muster", "name of the cluster, a guard against mixing up two")
	set.StringVar(&f.listen, "listen", "127.0.0.1:2379", "address to listen on for clients; several are separated by commas, and one with http:// in front is plain text even with TLS")
	set.StringVar(&f.advertise, "advertise", "", "--listen as clients reach it (default: what is listened on)")
	set.StringVar(&f.peerListen, "peer-listen", "127.0.0.1:2380", "address to listen on for other members")
	set.StringVar(&f.peerAdvertise, "peer-advertise", "", "--peer-listen as other members reach it (default: what is listened on)")
	set.StringSliceVar(&f.seeds, "seeds", nil, "peer addresses of the founders, the same list on each; with --expect or --join-only just addresses to ask")
	set.StringSliceVar(&f.discover, "discover", nil, "where to find other nodes, with --expect or --join-only; one or more of:\n"+spec.Forms)
	set.IntVar(&f.expect, "expect", 0, "how many nodes found the cluster together, whichever those are that meet through --seeds; more than half of all that will be started")
	set.BoolVar(&f.joinOnly, "join-only", false, "join a cluster through --seeds; never found one")
	set.BoolVar(&f.single, "single", false, "found a cluster of one, at once; others can join it")
	set.StringVar(&f.zone, "zone", "", "name of the failure domain, such as a rack or a data centre")
	set.DurationVar(&f.heartbeat, "heartbeat-interval", 100*time.Millisecond, "time between the leader's heartbeats")
	set.DurationVar(&f.election, "election-timeout", time.Second, "time without a leader before an election; at least five heartbeats")
	set.DurationVar(&f.watchProgress, "watch-progress-notify-interval", 10*time.Minute, "how often watches that ask for it are told that nothing happened")
	set.Int64Var(&f.snapshotLog, "snapshot-log-bytes", 64<<20, "how much log is gathered before a snapshot is taken and the log before it is dropped")
	set.Int64Var(&f.snapshotRate, "snapshot-send-rate", 0, "how fast snapshots are sent, in bytes a second (default: as fast as it goes)")
	set.Int64Var(&f.quota, "quota-backend-bytes", 0, "how many bytes the store may hold before puts are refused and the alarm NOSPACE is raised (default: no limit)")
	set.DurationVar(&f.checkTime, "corrupt-check-time", 0, "how often the leader compares what the members hold, and raises the alarm CORRUPT for one that differs (default: never)")
	set.BoolVar(&f.checkFirst, "initial-corrupt-check", false, "do so once when this member is ready")
	set.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	set.StringVar(&f.logFormat, "log-format", "text", "text or json")
	set.StringVar(&f.peerTLS.CertFile, "peer-tls-cert", "", "certificate (PEM) that this member shows to others; with it members speak TLS")
	set.StringVar(&f.peerTLS.KeyFile, "peer-tls-key", "", "key (PEM) of --peer-tls-cert")
	set.StringVar(&f.peerTLS.CAFile, "peer-tls-ca", "", "certificate (PEM) of the authority that signs the members' certificates, and nothing else")
	registerTLS(set, &f.port.TLS)
	registerPort(set, &f.port)
	set.BoolVar(&f.gateway, "enable-grpc-gateway", true, "serve the etcd v3 API as JSON over HTTP, under /v3/")
	registerAuth(set, &f.port)
	set.StringVar(&f.joinTokenFile, "join-token-file", "", "file with the token that all nodes of the cluster must have; of several lines the first is shown, and each is taken")
	set.BoolVar(&f.etcdFlags, "etcd-flags", false, "all other flags are etcd's, and so are variables ETCD_...: for what was written to start etcd")
	f.limits.register(set)
	set.StringVar(&f.config, "config", "", "YAML file whose keys are these flags, without the dashes in front")
}

// serverConfig turns the flags into what package server wants.
func (f *serveFlags) serverConfig(log *slog.Logger) (server.Config, error) {
	if f.name == "" {
		host, err := hostName()
		if err != nil {
			return server.Config{}, err
		}
		f.name = host
	}
	if f.dataDir == "" {
		f.dataDir = f.name + ".muster"
	}
	var sources []discovery.Provider
	for _, s := range f.discover {
		p, err := spec.Parse(s, f.cluster)
		if err != nil {
			return server.Config{}, usage("--discover: %v", err)
		}
		sources = append(sources, p)
	}
	token, err := f.joinToken()
	if err != nil {
		return server.Config{}, err
	}
	return f.limits.fill(server.Config{
		Listen:    f.listen,
		Advertise: f.advertise,
		TLS:       f.port.TLS, GRPC: f.port.GRPC, ListenMetrics: f.port.ListenMetrics, Metrics: f.port.Metrics,
		QuotaBytes:            f.quota,
		WatchProgressInterval: f.watchProgress,
		NoGateway:             !f.gateway, CORS: f.port.CORS, HostWhitelist: f.port.HostWhitelist,
		CorruptCheckTime:    f.checkTime,
		InitialCorruptCheck: f.checkFirst,
		AuthToken:           f.port.AuthToken, AuthTokenTTL: f.port.AuthTokenTTL, BcryptCost: f.port.BcryptCost,
		Node: muster.Config{
			Name: f.name, DataDir: f.dataDir, PinFile: f.pinFile, Cluster: f.cluster, Zone: f.zone,
			PeerListen: f.peerListen, PeerAdvertise: f.peerAdvertise,
			Seeds: f.seeds, Discovery: sources, Expect: f.expect, Single: f.single, JoinOnly: f.joinOnly,
			HeartbeatInterval: f.heartbeat, ElectionTimeout: f.election,
			SnapshotLogBytes: f.snapshotLog, SnapshotSendBytesPerSecond: f.snapshotRate,
			PeerTLS: f.peerTLS, JoinToken: token,
			Logger: log,
		},
	})
}

// hostName is the default of members' names.
func hostName() (string, error) {
	host, err := os.Hostname()
	if err != nil || host == "" {
		return "", usage("this machine has no host name; give the member a name with --name")
	}
	return host, nil
}

// joinToken reads the file. An empty one is a mistake, and not no token.
func (f *serveFlags) joinToken() (string, error) {
	if f.joinTokenFile == "" {
		return "", nil
	}
	b, err := os.ReadFile(f.joinTokenFile)
	if err != nil {
		return "", usage("--join-token-file: %v", err)
	}
	if len(b) == 0 {
		return "", usage("--join-token-file: %s is empty", f.joinTokenFile)
	}
	return string(b), nil
}

func (a *app) serveCommand() *cobra.Command {
	f := &serveFlags{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run one member of a cluster",
		Long: `Run one member of a cluster until it is told to stop (SIGINT or SIGTERM); it
then hands leadership over and keeps its membership.

Each flag can also be given as an environment variable (--peer-listen as
MUSTER_PEER_LISTEN) or as a key of the file that --config names
(peer-listen: ...). The command line wins over the environment, that over the
file, and that over the defaults.

A directory that belongs to a member already needs neither --seeds nor
--single: it knows its cluster. ` + "`muster help exit-codes`" + ` says how it ends.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			warnings, err := layer(cmd.Flags(), a.environ)
			if err != nil {
				return &coded{exitUsage, err}
			}
			if f.etcdFlags {
				return usage("--etcd-flags is said on the command line, before etcd's flags")
			}
			return a.serveBy(cmd.Context(), f, warnings)
		},
	}
	f.register(cmd.Flags())
	return cmd
}

// serveBy runs a server as the flags say.
func (a *app) serveBy(ctx context.Context, f *serveFlags, warnings []string) error {
	log, err := newLogger(a.err, f.logLevel, f.logFormat)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		log.Warn(w)
	}
	cfg, err := f.serverConfig(log)
	if err != nil {
		return err
	}
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
	cfg.Fatal = func(err error) {
		log.Error("the store failed", "node", cfg.Node.Name, "err", err)
		os.Exit(int(exitDisk))
	}
	return a.serve(ctx, cfg, log)
}

// serve runs one server until it ends or is told to.
func (a *app) serve(ctx context.Context, cfg server.Config, log *slog.Logger) error {
	stop, forget := a.stopSignals()
	defer forget()
	srv, err := server.Start(ctx, cfg)
	if err != nil {
		return explainStart(cfg, err)
	}
	log.Info("node started", "node", cfg.Node.Name, "addr", srv.PeerAddr(), "client_addr", srv.ClientAddr(), "data_dir", cfg.Node.DataDir)
	select {
	case <-srv.Done():
		return a.ended(srv)
	case <-stop:
	}
	log.Info("stopping; a second signal ends at once", "node", cfg.Node.Name)
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, stopTime)
		defer cancel()
		stopped <- srv.Stop(ctx)
	}()
	select {
	case err := <-stopped:
		return err
	case <-stop:
		return &coded{exitFailed, errors.New("told to stop twice: ended at once")}
	}
}

// ended is the error of a server that stopped by itself.
func (a *app) ended(srv *server.Server) error {
	err := srv.Err()
	if errors.Is(err, muster.ErrRemoved) {
		return fmt.Errorf("%w; its directory stays as it is and can't be used again: to come back, start with an empty one", err)
	}
	if err == nil {
		return errors.New("the node stopped by itself")
	}
	err = fmt.Errorf("the node stopped: %w", err)
	if why := srv.Why(); errors.Is(err, muster.ErrDisk) && len(why) > 0 {
		return &hinted{err, "Way out: " + why[0].WayOut}
	}
	return err
}

// stopSignals gives a value for each SIGINT and SIGTERM.
func (a *app) stopSignals() (<-chan struct{}, func()) {
	if a.signals != nil {
		return a.signals, func() {}
	}
	in := make(chan os.Signal, 2)
	out := make(chan struct{}, 2)
	quit := make(chan struct{})
	signal.Notify(in, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		for {
			select {
			case <-in:
				out <- struct{}{}
			case <-quit:
				return
			}
		}
	}()
	return out, func() { signal.Stop(in); close(quit) }
}

// explainStart adds a way to the error of a node that was told of none.
func explainStart(cfg server.Config, err error) error {
	n := cfg.Node
	if !errors.Is(err, muster.ErrConfig) || n.Single || len(n.Seeds) > 0 {
		return err
	}
	return &hinted{err, "To try things out on this machine alone: muster demo"}
}
