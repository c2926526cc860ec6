package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/musterhq/muster/bench/internal/measure"
)

// point is one window to be measured, on each system and in each round.
type point struct {
	load
	clients int
	target  string
	report  *measure.Report
}

// points are a suite's windows in their order, each with the report of its load.
func (s settings) points(u suite, about measure.About) []point {
	var ps []point
	for _, l := range u.loads {
		report := &measure.Report{About: about, Title: l.name, Unit: l.unit, Systems: s.systems, Subject: "muster"}
		for _, target := range l.targets {
			for _, n := range s.clients {
				if slices.Contains(s.targets, target) {
					ps = append(ps, point{load: l, clients: n, target: target, report: report})
				}
			}
		}
	}
	return ps
}

// measure fills the reports, round by round. Every other round goes through the
// systems backwards, so that a machine that slowly warms up or fills its disk
// favours nobody.
func (s settings) measure(ctx context.Context, dir string, fresh bool, ps []point) {
	groups := [][]point{ps}
	if fresh {
		groups = slices.Collect(slices.Chunk(ps, 1))
	}
	for round := range s.rounds {
		for _, group := range groups {
			for i := range s.systems {
				if round%2 == 1 {
					i = len(s.systems) - 1 - i
				}
				s.measureGroup(ctx, dir, s.systems[i], round+1, group)
			}
		}
	}
}

// measureGroup measures windows one after the other on the same servers.
func (s settings) measureGroup(ctx context.Context, dir, system string, round int, group []point) {
	done := 0
	err := ctx.Err()
	if err == nil {
		err = s.withServers(ctx, dir, system, func(srv *servers, probes []*clientv3.Client) error {
			for _, p := range group {
				sample := measure.Sample{System: system, Clients: p.clients, Target: p.target, Round: round}
				if err := s.window(ctx, srv, probes, p.load, &sample); err != nil {
					return err
				}
				fmt.Fprintf(os.Stderr, "%s: %.0f/s, p50 %.2f ms, %d errors\n", p.what(system, round), sample.PerSecond, sample.P50, sample.Errors)
				p.report.Samples = append(p.report.Samples, sample)
				done++
			}
			return nil
		})
	}
	if err == nil || done == len(group) {
		return
	}
	for _, p := range group[done:] {
		p.report.Failed = append(p.report.Failed, fmt.Sprintf("%s: %v", p.what(system, round), err))
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", group[done].what(system, round), err)
}

func (p point) what(system string, round int) string {
	return fmt.Sprintf("round %d, %s, %s, %d clients to %s", round, system, p.name, p.clients, p.target)
}

// estimate is how long ps take.
func (s settings) estimate(fresh bool, ps []point) time.Duration {
	const start = 4 * time.Second
	each := s.warmUp + s.duration + time.Second
	starts := 1
	if fresh {
		starts = len(ps)
	}
	return time.Duration(s.rounds*len(s.systems)) * (time.Duration(len(ps))*each + time.Duration(starts)*start)
}
