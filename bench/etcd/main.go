// Etcd compares muster, the server, with etcd: three members of each as
// processes on loopback, every write synced, driven by etcd's own Go client.
//
// See ../README.md for how to read what it prints.
package main

import (
	"context"
	"encoding/json"
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
	suites           []suite
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
	var only, load, names, targets, clients, etcd, muster string
	f := flag.NewFlagSet("bench-etcd", flag.ContinueOnError)
	f.StringVar(&only, "only", "puts,reads,txn,watch,lease", "which `suites`")
	f.StringVar(&load, "load", "", "of the suites only the loads whose names hold this `text`")
	f.StringVar(&names, "systems", "etcd,muster", "which `systems`, in the order of the table")
	f.StringVar(&targets, "to", toLeader+","+toAll, "whom the clients ask: leader (puts and keep-alives only), all")
	f.StringVar(&clients, "clients", "1,100,1000", "`numbers` of concurrent clients")
	f.IntVar(&s.conns, "conns", 12, "connections that the clients share, at most one per client and target member")
	f.IntVar(&s.rounds, "rounds", 3, "how often each cell is measured; the table shows medians")
	f.IntVar(&s.valueBytes, "bytes", 256, "size of a value")
	f.IntVar(&s.keys, "keys", 1_000_000, "how many different keys are drawn from")
	f.DurationVar(&s.warmUp, "warmup", 2*time.Second, "load before each measured window")
	f.DurationVar(&s.duration, "duration", 5*time.Second, "length of a measured window")
	f.DurationVar(&s.limit, "timeout", time.Hour, "end of the whole run, whatever is left to do")
	f.StringVar(&s.dataDir, "data-dir", "", "`directory` on the disk to measure, for temporary files (default: the system's)")
	f.StringVar(&etcd, "etcd", "", "`program` to run as etcd (default: built from the pinned module)")
	f.StringVar(&muster, "muster", "", "`program` to run as muster (default: built from this tree)")
	f.BoolVar(&s.json, "json", false, "print every sample as JSON instead of the table")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	var err error
	if s.suites, err = suitesOf(only); err != nil {
		return s, err
	}
	if s.suites = holding(s.suites, load); len(s.suites) == 0 {
		return s, fmt.Errorf("-load: no load of %s has %q in its name", only, load)
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
	var points [][]point
	var length time.Duration
	for _, u := range s.suites {
		ps := s.points(u, about)
		points, length = append(points, ps), length+s.estimate(u.fresh, ps)
	}
	fmt.Fprintf(os.Stderr, "about %v; ends after %v at the latest\n", length.Round(time.Second), s.limit)
	for i, u := range s.suites {
		s.measure(ctx, dir, u.fresh, points[i])
	}
	return s.write(about, reportsOf(points))
}

// reportsOf lists each report once, in order.
func reportsOf(points [][]point) []*measure.Report {
	var all []*measure.Report
	for _, p := range slices.Concat(points...) {
		if !slices.Contains(all, p.report) {
			all = append(all, p.report)
		}
	}
	return all
}

func (s settings) write(about measure.About, reports []*measure.Report) error {
	if s.json {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return e.Encode(reports)
	}
	fmt.Printf("%s\n\n", about)
	for _, r := range reports {
		if err := r.WriteRows(os.Stdout); err != nil {
			return err
		}
	}
	return nil
}
