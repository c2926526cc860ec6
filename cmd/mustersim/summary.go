package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/musterhq/muster/internal/sim"
)

// summary adds up the results of many seeds.
type summary struct {
	begun    time.Time
	told     time.Time
	seeds    int
	turns    uint64
	ops      int
	late     int // took longer than four election timeouts to have a leader again
	counters map[string]int
}

func newSummary(begun time.Time) *summary {
	return &summary{begun: begun, told: begun, counters: map[string]int{}}
}

// tellEvery is how often progress is shown.
const tellEvery = 10 * time.Second

func (s *summary) add(r sim.Result) {
	s.seeds++
	s.turns += r.Turns
	s.ops += r.Ops
	if r.LateLeader() {
		s.late++
	}
	for k, n := range r.Counters {
		s.counters[k] += n
	}
	if now := time.Now(); now.Sub(s.told) > tellEvery {
		s.told = now
		fmt.Println(s.line())
	}
}

func (s *summary) line() string {
	took := time.Since(s.begun)
	return fmt.Sprintf("%d seeds in %s, %.1f a second: %d turns, %d operations of clients", s.seeds, took.Round(time.Second), float64(s.seeds)/took.Seconds(), s.turns, s.ops)
}

func (s *summary) print(w io.Writer) {
	fmt.Fprintln(w, s.line())
	var names []string
	for k := range s.counters {
		names = append(names, k)
	}
	for _, k := range sim.Sometimes() {
		if _, ok := s.counters[k]; !ok {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	for _, k := range names {
		fmt.Fprintf(w, "%9d  %s\n", s.counters[k], k)
	}
	fmt.Fprintf(w, "%9d  runs had no leader within four election timeouts of the last fault\n", s.late)
}

// enough is how many seeds it takes before what never happened is held against
// the worlds.
const enough = 1000

// verdict is an error when the worlds were too tame, or leaders too late.
func (s *summary) verdict() error {
	if s.seeds < enough {
		return nil
	}
	for _, k := range sim.Sometimes() {
		if s.counters[k] < s.seeds/enough {
			return fmt.Errorf("in %d seeds it happened only %d times that %s: the worlds are too tame", s.seeds, s.counters[k], k)
		}
	}
	if s.late > s.seeds/10 {
		return fmt.Errorf("in %d of %d seeds there was no leader within four election timeouts of the last fault", s.late, s.seeds)
	}
	return nil
}
