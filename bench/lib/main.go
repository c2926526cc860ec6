// Lib compares the muster library with hashicorp/raft: three members in one
// process over TCP on loopback, every write synced, a state machine that only
// counts, and closed-loop proposers at the leader.
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
		fmt.Fprintln(os.Stderr, "bench-lib:", err)
		os.Exit(1)
	}
}

type settings struct {
	systems          []string
	proposers        []int
	rounds, bytes    int
	warmUp, duration time.Duration
	limit            time.Duration
	dataDir          string
	json             bool
	cell             string
}

func parse(args []string) (settings, error) {
	var s settings
	var systems, proposers string
	f := flag.NewFlagSet("bench-lib", flag.ContinueOnError)
	f.StringVar(&systems, "systems", "hashicorp,hashicorp-tuned,muster", "which `systems`, in the order of the table")
	f.StringVar(&proposers, "clients", "1,64,1024", "`numbers` of concurrent proposers")
	f.IntVar(&s.rounds, "rounds", 3, "how often each cell is measured; the table shows medians")
	f.IntVar(&s.bytes, "bytes", 128, "size of a command")
	f.DurationVar(&s.warmUp, "warmup", time.Second, "load before each measured window")
	f.DurationVar(&s.duration, "duration", 3*time.Second, "length of a measured window")
	f.DurationVar(&s.limit, "timeout", 10*time.Minute, "end of the whole run, whatever is left to do")
	f.StringVar(&s.dataDir, "data-dir", "", "`directory` on the disk to measure, for temporary files (default: the system's)")
	f.BoolVar(&s.json, "json", false, "print every sample as JSON instead of the table")
	f.StringVar(&s.cell, "cell", "", "internal: run one cell in this process")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	s.systems = strings.Split(systems, ",")
	for _, name := range s.systems {
		if _, err := startOf(name); err != nil {
			return s, err
		}
	}
	for n := range strings.SplitSeq(proposers, ",") {
		i, err := strconv.Atoi(n)
		if err != nil || i < 1 {
			return s, fmt.Errorf("-clients: %q is not a positive number", n)
		}
		s.proposers = append(s.proposers, i)
	}
	return s, nil
}

func run(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	if s.cell != "" {
		var spec cellSpec
		if err := json.Unmarshal([]byte(s.cell), &spec); err != nil {
			return fmt.Errorf("-cell: %w", err)
		}
		return spec.run(ctx)
	}
	dir, err := os.MkdirTemp(s.dataDir, "bench-lib-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	about, err := measure.Describe(dir, fmt.Sprintf("3 members in one process on loopback, %d-byte commands, medians of %d rounds of %v after %v of warm-up",
		s.bytes, s.rounds, s.duration, s.warmUp))
	if err != nil {
		return err
	}
	report := &measure.Report{About: about, Unit: "commands", Systems: s.systems, Subject: "muster"}
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	cells := s.rounds * len(s.proposers) * len(s.systems)
	fmt.Fprintf(os.Stderr, "%d cells, about %v; ends after %v at the latest\n", cells,
		(time.Duration(cells) * (s.warmUp + s.duration + 2*time.Second)).Round(time.Second), s.limit)
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
		for _, n := range s.proposers {
			for i := range s.systems {
				if round%2 == 1 {
					i = len(s.systems) - 1 - i
				}
				name := s.systems[i]
				what := fmt.Sprintf("round %d, %s, %d proposers", round+1, name, n)
				if ctx.Err() != nil {
					report.Failed = append(report.Failed, what+": not run, out of time")
					continue
				}
				w, err := cellSpec{System: name, Proposers: n, Bytes: s.bytes, Dir: dir, WarmUp: s.warmUp, Duration: s.duration}.spawn(ctx)
				if err != nil {
					fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
					report.Failed = append(report.Failed, fmt.Sprintf("%s: %v", what, err))
					continue
				}
				fmt.Fprintf(os.Stderr, "%s: %.0f/s\n", what, w.PerSecond)
				report.Samples = append(report.Samples, measure.Sample{System: name, Clients: n, Target: "leader", Round: round + 1, Window: w})
			}
		}
	}
}
