package muster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/discovery"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/transport"
)

// Config is what a node is told. The zero value of a field means the stated
// default. Start changes nothing in it.
type Config struct {
	// Name of the member, unique in the cluster. Default: the host name.
	Name string
	// DataDir is the node's own directory; its identity lives and dies with it. Required.
	DataDir string
	// Cluster is the cluster's name, a guard against mixing up two. Default "muster".
	Cluster string

	// PinFile is a second place, outside DataDir and best on another disk, for
	// the ID of the cluster that this node is in. With it, a node that lost its
	// disk founds no other cluster, and joins none but that one, until somebody
	// deletes the file; so no second cluster comes out of the same seeds, even if
	// the disks of all founders are wiped. It is durable before the node is a
	// member. Its directory must exist. Default: none.
	PinFile string

	// PeerListen is where other members connect, host:port; several are separated
	// by commas. Default 127.0.0.1:2380.
	PeerListen string
	// PeerAdvertise is PeerListen as others reach it: one address, whatever is
	// listened on. Default: what is listened on, the first of several.
	PeerAdvertise string
	// ClientAdvertise is told to the other members for their clients: host:port,
	// or https://host:port where those are to speak TLS, or unix:// and unixs://
	// before the file of a socket; several are separated by commas. Default: none.
	ClientAdvertise string
	// Zone names the failure domain.
	Zone string

	// Seeds are peer addresses. Without JoinOnly and Expect they are the
	// founders: the cluster is founded once all of them, each with this same
	// list, have agreed, and a node that comes later joins. With JoinOnly or
	// Expect they are just addresses to ask, and may differ from node to node.
	Seeds []string
	// Expect is how many nodes found the cluster together, this one among them,
	// where that is no fixed list: as many of those that meet through Seeds
	// as all of them expect, of which each sees each other. The others join.
	// 0: the seeds found; else 2 to 32.
	//
	// All nodes expect the same. They refuse to found while 2·Expect or more of
	// them are there, since two clusters could come of it: expect more than
	// half of all nodes that will ever be started before there is a cluster.
	// Better it is odd: an even number of founders needs one more of them to
	// found, and survives no more failures.
	Expect int
	// Discovery are sources of more addresses to ask, of which any may be
	// partial, stale, or this node's own. They need Expect or JoinOnly, or a
	// node that is to found alone and to be found: with Seeds only, the founders
	// are that list and nobody else. Each is used by this node only.
	Discovery []discovery.Provider
	// Single founds a cluster of one, at once. Others join it.
	Single bool
	// JoinOnly never founds.
	JoinOnly bool

	// HeartbeatInterval of the leader. Default 100 ms.
	HeartbeatInterval time.Duration
	// ElectionTimeout, at least five heartbeats. Default 1 s.
	ElectionTimeout time.Duration

	// Policy is what the cluster aims at, as long as it was not told otherwise
	// while it ran, see [Node.SetPolicy]: whoever leads goes by its own.
	Policy cluster.Policy

	// SnapshotLogBytes is how much log is gathered before a snapshot is taken
	// and the log before it is dropped. Default 64 MiB.
	SnapshotLogBytes int64
	// SnapshotSendBytesPerSecond throttles the sending of snapshots. Default: none.
	SnapshotSendBytesPerSecond int64
	// MaxCommandBytes bounds one command. Default 4 MiB; at most 32 MiB.
	MaxCommandBytes int
	// MaxPendingBytes bounds what waits at this member; above it callers get
	// ErrOverloaded. Default 256 MiB.
	MaxPendingBytes int64

	// PeerTLS, if set, has members speak TLS with each other and show each other
	// certificates. All members have it, or none.
	PeerTLS PeerTLS

	// DiskSpace says how much is free for DataDir and how much there is, in
	// bytes, for Node.Why to warn of. Default: what its file system says, which
	// knows nothing of a quota.
	DiskSpace func() (free, total int64, err error)

	// JoinToken, if set, is asked of every node that speaks to this one, and
	// proven to it: nodes with another or none neither join nor found with it,
	// nor are they heard as members. It is at least 16 bytes long; make it random.
	// With several lines the first is shown and each is taken, so that it can be
	// replaced on one member after the other. It never leaves the node, nor is it
	// logged. It says who may come in; that nobody listens or meddles, PeerTLS does.
	JoinToken string

	// Answer answers what the embedder of another member of the cluster asks with
	// [Node.Ask]. It is called from several goroutines at once, up to 64 for each
	// other member, also before Start has returned. ctx ends when nobody waits any
	// more, or the node closes, which waits for the calls. The question is the
	// callee's to keep. An error goes to the asker as text, as an [*AnswerError];
	// one that wraps ErrRefused says that the question was not looked at. Answers
	// are bounded as questions are. Default: questions are declined.
	//
	// Members may run different releases: begin questions with what tells their
	// kinds apart, and refuse those that are not known.
	Answer func(ctx context.Context, from cluster.NodeID, question []byte) ([]byte, error)

	// Network carries the traffic between members. Default: TCP. Package
	// mustertest has one in memory that can be cut.
	Network Network

	// Logger gets one line for each thing an operator would act on. Default: discard.
	Logger *slog.Logger
	// OnLogSync is called with the time that each sync of the log took, by the
	// goroutine that all writes wait for: it must return at once. Default: nobody's.
	OnLogSync func(time.Duration)
	// OnRoundTrip is called with the time that another member took to answer a
	// greeting, whenever this one has dialled it: at least every five seconds one
	// in turn. It must return at once. Default: nobody's.
	OnRoundTrip func(to cluster.NodeID, took time.Duration)
	// OnEvent is called for every event, in order, by one goroutine. It must return soon.
	OnEvent func(event.Event)
}

// Network makes connections between members. Addresses are host:port.
type Network interface {
	Listen(addr string) (net.Listener, error)
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// tokens are the lines of JoinToken.
func (c Config) tokens() (out [][]byte) {
	for _, line := range strings.Split(c.JoinToken, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, []byte(line))
		}
	}
	return out
}

// withDefaults is a copy of c with every default filled in.
func (c Config) withDefaults() Config {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&c.Cluster, "muster")
	def(&c.PeerListen, "127.0.0.1:2380")
	if c.HeartbeatInterval == 0 {
		c.HeartbeatInterval = 100 * time.Millisecond
	}
	if c.ElectionTimeout == 0 {
		c.ElectionTimeout = 10 * c.HeartbeatInterval
	}
	if c.SnapshotLogBytes == 0 {
		c.SnapshotLogBytes = 64 << 20
	}
	if c.MaxCommandBytes == 0 {
		c.MaxCommandBytes = 4 << 20
	}
	if c.MaxPendingBytes == 0 {
		c.MaxPendingBytes = 256 << 20
	}
	if c.Network == nil {
		c.Network = transport.TCP{}
	}
	if c.Name == "" {
		c.Name, _ = os.Hostname() // Validate tells when there is none
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports every fault of the configuration at once, as an [ErrConfig].
// That of a node which is a member already needs neither Seeds nor Single:
// Start looks at the data directory, Validate does not.
func (c Config) Validate() error {
	faults := c.faults()
	if c.noWay() {
		faults = append(faults, errNoWay)
	}
	return configError(faults)
}

// noWay says that nothing in it leads to a cluster.
func (c Config) noWay() bool { return !c.Single && len(c.Seeds) == 0 && len(c.Discovery) == 0 }

// errNoWay tells how a node may come to a cluster.
var errNoWay = errors.New(`no way to a cluster was chosen; choose one of
  Seeds (--seeds a:2380,b:2380,c:2380)  found a cluster together with these nodes, or join the one they are in
  Expect and Seeds (--expect 3)         found a cluster of three with whom these nodes know, or join the one they are in
  Expect and Discovery (--discover dns:muster.default.svc --expect 3)  the same, with whom DNS, a file or multicast finds
  Single (--single)                     found a cluster of one, at once; others can join it
  JoinOnly and Seeds (--join-only)      join the cluster that these nodes are in, never found one`)

func configError(faults []error) error {
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrConfig, errors.Join(faults...))
}

func (c Config) faults() []error {
	c = c.withDefaults()
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.DataDir == "" {
		fault("no data directory: set DataDir (--data-dir)")
	}
	if c.Name == "" {
		fault("no name: set Name (--name)")
	}
	if c.Single && len(c.Seeds) > 0 {
		fault("both Single and Seeds: a single node founds a cluster of its own, seeds found one together; choose one")
	}
	if c.Single && c.JoinOnly {
		fault("both Single and JoinOnly: a node either founds or joins; choose one")
	}
	if c.JoinOnly && len(c.Seeds) == 0 && len(c.Discovery) == 0 {
		fault("JoinOnly without Seeds: name members to ask (--seeds), or a Discovery that finds them")
	}
	if len(c.Discovery) > 0 && c.Expect == 0 && !c.JoinOnly && !c.Single {
		fault("Discovery without Expect or JoinOnly: nodes that are found are no fixed list of founders; say how many found together (--expect), or that this node only joins (--join-only)")
	}
	if slices.Contains(c.Discovery, nil) {
		fault("Discovery holds a nil provider")
	}
	c.checkExpect(fault)
	if c.PinFile != "" && within(c.DataDir, c.PinFile) {
		fault("PinFile (--pin-file) %q is inside the data directory: it would be lost with it", c.PinFile)
	}
	seen := map[string]bool{}
	for _, s := range c.Seeds {
		checkAddr(fault, "seed", s, true)
		if seen[s] {
			fault("seed %q is listed twice", s)
		}
		seen[s] = true
	}
	for _, a := range addrs(c.PeerListen) {
		checkAddr(fault, "PeerListen (--peer-listen)", a, false)
	}
	if host, _, err := net.SplitHostPort(addrs(c.PeerListen)[0]); err == nil && c.PeerAdvertise == "" && unspecified(host) {
		fault("PeerListen %q is every address of this machine: say in PeerAdvertise (--peer-advertise) at which one others reach it", c.PeerListen)
	}
	if c.PeerAdvertise != "" {
		checkAddr(fault, "PeerAdvertise (--peer-advertise)", c.PeerAdvertise, true)
	}
	for _, a := range addrs(c.ClientAdvertise) {
		if !strings.HasPrefix(a, "unix://") && !strings.HasPrefix(a, "unixs://") {
			checkAddr(fault, "ClientAdvertise (--advertise)", strings.TrimPrefix(a, "https://"), true)
		}
	}
	if c.HeartbeatInterval < time.Millisecond {
		fault("heartbeat interval %v: at least 1ms", c.HeartbeatInterval)
	}
	if c.ElectionTimeout < 5*c.HeartbeatInterval {
		fault("election timeout %v: at least five heartbeats (%v)", c.ElectionTimeout, 5*c.HeartbeatInterval)
	}
	if err := c.Policy.Validate(); err != nil {
		fault("policy: %w", err)
	}
	if c.Policy.Paused != "" {
		fault("policy: paused: it is paused while it runs, with Node.SetPolicy (muster pause), not by configuration")
	}
	c.PeerTLS.faults(fault)
	for i, token := range c.tokens() {
		if len(token) < minToken {
			fault("JoinToken (--join-token-file): line %d has %d bytes; a token has at least %d, chosen at random", i+1, len(token), minToken)
		}
	}
	if c.JoinToken != "" && len(c.tokens()) == 0 {
		fault("JoinToken (--join-token-file) is blank")
	}
	if c.MaxCommandBytes < 1 || c.MaxCommandBytes > 32<<20 {
		fault("maximum command size %d: want 1 byte to 32 MiB", c.MaxCommandBytes)
	}
	return faults
}

// maxExpect is so small that a node can know of twice as many, which it must to
// refuse then; package formation bounds what it learns.
const maxExpect = 32

func (c Config) checkExpect(fault func(string, ...any)) {
	switch {
	case c.Expect == 0:
		return
	case c.Expect == 1:
		fault("Expect 1 (--expect 1): a node that is to found alone is told so with Single (--single)")
	case c.Expect < 0 || c.Expect > maxExpect:
		fault("Expect %d (--expect): want the number of founders, 2 to %d; more nodes than that can join", c.Expect, maxExpect)
	}
	if c.Single {
		fault("both Expect and Single: a node founds either with others or alone; choose one")
	}
	if c.JoinOnly {
		fault("both Expect and JoinOnly: a node either founds or joins; choose one")
	}
	if len(c.Seeds) == 0 && len(c.Discovery) == 0 {
		fault("Expect without Seeds: name at least one other node to ask (--seeds), or a Discovery that finds them")
	}
}

// within says that a file is below a directory, by their names.
func within(dir, file string) bool {
	dir, err1 := filepath.Abs(dir)
	file, err2 := filepath.Abs(file)
	rel, err3 := filepath.Rel(dir, file)
	return err1 == nil && err2 == nil && err3 == nil && filepath.IsLocal(rel)
}

// minToken is how long a token is at least, in bytes: whoever reads the traffic
// can try tokens at leisure.
const minToken = 16

func unspecified(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

// addrs are those of a list that is separated by commas; "": none.
func addrs(list string) (out []string) {
	if list == "" {
		return nil
	}
	for _, a := range strings.Split(list, ",") {
		out = append(out, strings.TrimSpace(a))
	}
	return out
}

func checkAddr(fault func(string, ...any), what, addr string, reachable bool) {
	host, port, err := net.SplitHostPort(addr)
	switch {
	case err != nil:
		fault("%s %q is not host:port", what, addr)
	case port == "":
		fault("%s %q has no port", what, addr)
	case reachable && unspecified(host):
		fault("%s %q: others can't reach %q; give an address that they can", what, addr, host)
	case reachable && port == "0":
		fault("%s %q: others can't reach port 0", what, addr)
	}
}
