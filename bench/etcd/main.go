// Etcd compares muster, the server, with etcd: three members of each as
// processes on loopback, every write synced, driven by etcd's own Go client.
//
// See ../README.md for how to read what it prints.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/musterhq/muster/bench/internal/measure"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench-etcd:", err)
		os.Exit(1)
	}
}

type settings struct {
	systems          []string
	targets          []string
	clients          []int
	conns            int
	rounds           int
	valueBytes, keys int
	warmUp, duration time.Duration
	limit            time.Duration
	dataDir          string
	binaries         map[string]string // by system; empty: built
	json             bool
}

// The two targets.
const (
	toLeader = "leader" // every connection goes to the leader
	toAll    = "all"    // connections go to the members in turn
)

func parse(args []string) (settings, error) {
	var s settings
	var names, targets, clients, etcd, muster string
	f := flag.NewFlagSet("bench-etcd", flag.ContinueOnError)
	f.StringVar(&names, "systems", "etcd,muster", "which `systems`, in the order of the table")
	f.StringVar(&targets, "to", toLeader+","+toAll, "whom the clients ask: leader, all")
	f.StringVar(&clients, "clients", "1,100,1000", "`numbers` of concurrent clients")
	f.IntVar(&s.conns, "conns", 12, "connections that the clients share, at most one per client and target member")
	f.IntVar(&s.rounds, "rounds", 3, "how often each cell is measured; the table shows medians")
	f.IntVar(&s.valueBytes, "bytes", 256, "size of a value")
	f.IntVar(&s.keys, "keys", 1_000_000, "how many different keys are drawn from")
	f.DurationVar(&s.warmUp, "warmup", 2*time.Second, "load before each measured window")
	f.DurationVar(&s.duration, "duration", 5*time.Second, "length of a measured window")
	f.DurationVar(&s.limit, "timeout", 15*time.Minute, "end of the whole run, whatever is left to do")
	f.StringVar(&s.dataDir, "data-dir", "", "`directory` on the disk to measure, for temporary files (default: the system's)")
	f.StringVar(&etcd, "etcd", "", "`program` to run as etcd (default: built from the pinned module)")
	f.StringVar(&muster, "muster", "", "`program` to run as muster (default: built from this tree)")
	f.BoolVar(&s.json, "json", false, "print every sample as JSON instead of the table")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	s.systems, s.targets = strings.Split(names, ","), strings.Split(targets, ",")
	s.binaries = map[string]string{"etcd": etcd, "muster": muster}
	for _, name := range s.systems {
		if _, err := systemOf(name); err != nil {
			return s, err
		}
	}
	for _, t := range s.targets {
		if !slices.Contains([]string{toLeader, toAll}, t) {
			return s, fmt.Errorf("-to: %q is neither %s nor %s", t, toLeader, toAll)
		}
	}
	for n := range strings.SplitSeq(clients, ",") {
		i, err := strconv.Atoi(n)
		if err != nil || i < 1 {
			return s, fmt.Errorf("-clients: %q is not a positive number", n)
		}
		s.clients = append(s.clients, i)
	}
	if s.conns < 1 || s.keys < 1 || s.rounds < 1 {
		return s, errors.New("-conns, -keys and -rounds: want at least 1")
	}
	return s, nil
}

func run(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	dir, err := os.MkdirTemp(s.dataDir, "bench-etcd-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := s.build(ctx, dir); err != nil {
		return err
	}
	about, err := measure.Describe(dir, fmt.Sprintf("3 member processes on loopback, %d-byte values, %d keys, %d connections, medians of %d rounds of %v after %v of warm-up",
		s.valueBytes, s.keys, s.conns, s.rounds, s.duration, s.warmUp))
	if err != nil {
		return err
	}
	report := &measure.Report{About: about, Unit: "puts", Systems: s.systems, Subject: "muster"}
	cells := s.rounds * len(s.clients) * len(s.targets) * len(s.systems)
	fmt.Fprintf(os.Stderr, "%d cells, about %v; ends after %v at the latest\n", cells,
		(time.Duration(cells) * (s.warmUp + s.duration + 4*time.Second)).Round(time.Second), s.limit)
	s.measure(ctx, dir, report)
	if s.json {
		return report.WriteJSON(os.Stdout)
	}
	return report.WriteTable(os.Stdout)
}

// measure fills the report, round by round. Every other round goes through the
// systems backwards, so that a machine that slowly warms up or fills its disk
// favours nobody.
func (s settings) measure(ctx context.Context, dir string, report *measure.Report) {
	for round := range s.rounds {
		for _, target := range s.targets {
			for _, n := range s.clients {
				for i := range s.systems {
					if round%2 == 1 {
						i = len(s.systems) - 1 - i
					}
					s.measureOne(ctx, dir, report, measure.Sample{System: s.systems[i], Clients: n, Target: target, Round: round + 1})
				}
			}
		}
	}
}

func (s settings) measureOne(ctx context.Context, dir string, report *measure.Report, sample measure.Sample) {
	what := fmt.Sprintf("round %d, %s, %d clients to %s", sample.Round, sample.System, sample.Clients, sample.Target)
	err := ctx.Err()
	if err == nil {
		err = s.cell(ctx, dir, &sample)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		report.Failed = append(report.Failed, fmt.Sprintf("%s: %v", what, err))
		return
	}
	fmt.Fprintf(os.Stderr, "%s: %.0f/s, p50 %.2f ms, %d errors\n", what, sample.PerSecond, sample.P50, sample.Errors)
	report.Samples = append(report.Samples, sample)
}
