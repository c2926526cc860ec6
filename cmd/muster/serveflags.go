package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/musterhq/muster/discovery"
	"github.com/musterhq/muster/discovery/spec"
	"github.com/musterhq/muster/server"
)

// serveFlags are the flags of serve, each also a variable and a key of the
// configuration file.
type serveFlags struct {
	cfg server.Config // what flags fill in as it is; serverConfig makes the rest of the others

	discover                 []string
	joinTokenFile            string
	gateway                  bool
	compactMode, compactKeep string
	logLevel, logFormat      string
	logOutputs               []string
	config                   string
	etcdFlags                bool
}

// flagGroup is a part of the flags, as their help shows them.
type flagGroup struct {
	title    string
	register func(*pflag.FlagSet)
}

func (f *serveFlags) groups() []flagGroup {
	return []flagGroup{
		{"Who the member is", f.registerIdentity},
		{"How it finds its cluster", f.registerForming},
		{"Where other members reach it", f.registerPeers},
		{"Where clients reach it", f.registerPort},
		{"TLS for clients", f.registerTLS},
		{"Users (docs/etcd-compatibility.md)", f.registerAuth},
		{"Keys: limits and history", f.registerStore},
		{"Times, snapshots and checks", f.registerPace},
		{"Log, and where flags come from", f.registerLog},
	}
}

func (f *serveFlags) register(set *pflag.FlagSet) {
	for _, g := range f.groups() {
		g.register(set)
	}
}

// printUsage is what serve --help says of the flags.
func (f *serveFlags) printUsage(out io.Writer, line string) error {
	_, err := fmt.Fprintf(out, "Usage:\n  %s\n", line)
	for _, g := range new(serveFlags).groups() {
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		set.SortFlags = false
		g.register(set)
		_, werr := fmt.Fprintf(out, "\n%s:\n%s", g.title, set.FlagUsagesWrapped(usageWidth))
		err = errors.Join(err, werr)
	}
	return err
}

// usageWidth is how wide the help of flags is, in characters.
const usageWidth = 110

func (f *serveFlags) registerIdentity(set *pflag.FlagSet) {
	n := &f.cfg.Node
	set.StringVar(&n.Name, "name", "", "name of the member, unique in the cluster (default: the host name)")
	set.StringVar(&n.DataDir, "data-dir", "", "the node's own directory; its identity lives and dies with it (default: NAME.muster)")
	set.StringVar(&n.Cluster, "cluster", "muster", "name of the cluster, a guard against mixing up two")
	set.StringVar(&n.Zone, "zone", "", "name of the failure domain, such as a rack or a data centre")
	set.StringVar(&n.PinFile, "pin-file", "", "a file outside --data-dir that keeps the cluster's ID, so that a node that lost its disk founds and joins no other (default: none)")
}

func (f *serveFlags) registerForming(set *pflag.FlagSet) {
	n := &f.cfg.Node
	set.BoolVar(&n.Single, "single", false, "found a cluster of one, at once; others can join it")
	set.StringSliceVar(&n.Seeds, "seeds", nil, "peer addresses of the founders, the same list on each; with --expect or --join-only just addresses to ask")
	set.IntVar(&n.Expect, "expect", 0, "how many nodes found the cluster together, whichever those are that meet through --seeds; more than half of all that will be started")
	set.StringSliceVar(&f.discover, "discover", nil, "where to find other nodes, with --expect or --join-only; one or more of:\n"+spec.Forms)
	set.BoolVar(&n.JoinOnly, "join-only", false, "join a cluster through --seeds; never found one")
	set.StringVar(&f.joinTokenFile, "join-token-file", "", "file with the token that all nodes of the cluster must have; of several lines the first is shown, and each is taken")
}

func (f *serveFlags) registerPeers(set *pflag.FlagSet) {
	n := &f.cfg.Node
	set.StringVar(&n.PeerListen, "peer-listen", "127.0.0.1:2380", "address to listen on for other members; several are separated by commas")
	set.StringVar(&n.PeerAdvertise, "peer-advertise", "", "--peer-listen as other members reach it: one address (default: what is listened on, the first of several)")
	registerPeerTLS(set, &n.PeerTLS)
}

// registerPace are the flags of what happens without being asked for.
func (f *serveFlags) registerPace(set *pflag.FlagSet) {
	n := &f.cfg.Node
	set.DurationVar(&n.HeartbeatInterval, "heartbeat-interval", 100*time.Millisecond, "time between the leader's heartbeats")
	set.DurationVar(&n.ElectionTimeout, "election-timeout", time.Second, "time without a leader before an election; at least five heartbeats")
	set.Int64Var(&n.SnapshotLogBytes, "snapshot-log-bytes", 64<<20, "how much log is gathered before a snapshot is taken and the log before it is dropped")
	set.Int64Var(&n.SnapshotSendBytesPerSecond, "snapshot-send-rate", 0, "how fast snapshots are sent, in bytes a second (default: as fast as it goes)")
	set.DurationVar(&f.cfg.SlowRequest, "warning-unary-request-duration", 300*time.Millisecond, "from when on a request that took long is told of in the log, once a second at most; negative is never")
	set.DurationVar(&f.cfg.WatchProgressInterval, "watch-progress-notify-interval", 10*time.Minute, "how often watches that ask for it are told that nothing happened")
	set.DurationVar(&f.cfg.CorruptCheck.Every, "corrupt-check-time", 0, "how often the leader compares what the members hold, and raises the alarm CORRUPT for one that differs (default: never)")
	set.BoolVar(&f.cfg.CorruptCheck.AtStart, "initial-corrupt-check", false, "do so once when this member is ready")
}

func (f *serveFlags) registerLog(set *pflag.FlagSet) {
	set.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	set.StringVar(&f.logFormat, "log-format", "text", "text or json")
	set.StringSliceVar(&f.logOutputs, "log-outputs", []string{"stderr"}, "where the log goes: stderr, stdout, or files that are appended to; several are separated by commas")
	set.StringVar(&f.config, "config", "", "YAML file whose keys are these flags, without the dashes in front")
	set.BoolVar(&f.etcdFlags, "etcd-flags", false, "all other flags are etcd's, and so are variables ETCD_...: for what was written to start etcd")
}

// serverConfig turns the flags into what package server wants.
func (f *serveFlags) serverConfig(log *slog.Logger) (server.Config, error) {
	cfg := f.cfg
	n := &cfg.Node
	n.Logger = log
	cfg.HTTP.NoGateway = !f.gateway
	var err error
	if n.Name == "" {
		if n.Name, err = hostName(); err != nil {
			return cfg, err
		}
	}
	if n.DataDir == "" {
		n.DataDir = n.Name + ".muster"
	}
	var sources []discovery.Provider
	for _, s := range f.discover {
		p, err := spec.Parse(s, n.Cluster)
		if err != nil {
			return cfg, usage("--discover: %v", err)
		}
		sources = append(sources, p)
	}
	n.Discovery = sources
	if n.JoinToken, err = f.joinToken(); err != nil {
		return cfg, err
	}
	if err := f.checkStore(); err != nil {
		return cfg, err
	}
	if cfg.AutoCompaction, err = server.ParseAutoCompaction(f.compactMode, f.compactKeep); err != nil {
		return cfg, usage("%v", err)
	}
	return cfg, nil
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
