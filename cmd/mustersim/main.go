// Mustersim runs simulated clusters through faults, one for each seed, and
// prints how to see a failing one again. It is not part of muster as users run
// it: it is how muster is tested. See docs/robustness.md.
//
//	mustersim -seeds 10000        run seeds 1 to 10000, on all cores
//	mustersim -for 1h             as many as fit
//	mustersim -first 7 -v         run seed 7 and print its transcript
//	mustersim -first 7 -keep 3,9  run it with only these lines of its script
//
// It exits with 1 when a seed fails, or when something that should happen now
// and then never did.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/musterhq/muster/internal/sim"
)

// options are the flags.
type options struct {
	first   uint64
	seeds   uint64
	limit   time.Duration
	procs   int
	keep    string
	verbose bool
	shrink  int
	worker  bool
	stride  uint64
}

func main() {
	o := options{}
	flag.Uint64Var(&o.first, "first", 1, "the first seed")
	flag.Uint64Var(&o.seeds, "seeds", 0, "how many seeds; 0: one, or with -for as many as fit")
	flag.DurationVar(&o.limit, "for", 0, "begin no more seeds after this time; 0: no limit")
	flag.IntVar(&o.procs, "procs", runtime.NumCPU(), "processes: one simulation goes on in each")
	flag.StringVar(&o.keep, "keep", "", "run one seed with only these lines of its script, such as 3,9")
	flag.BoolVar(&o.verbose, "v", false, "print the transcript, with every message, of the one seed")
	flag.IntVar(&o.shrink, "shrink", 300, "how many runs to spend on shortening the script of a failing seed")
	flag.BoolVar(&o.worker, "worker", false, "run seeds and report to the parent process")
	flag.Uint64Var(&o.stride, "stride", 1, "of a worker: how far from one seed to the next")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "mustersim: unknown argument %q; see -help\n", flag.Arg(0))
		os.Exit(2)
	}
	if err := o.run(); err != nil {
		fmt.Fprintln(os.Stderr, "mustersim:", err)
		os.Exit(1)
	}
}

func (o options) run() error {
	switch {
	case o.worker:
		return o.work(os.Stdout)
	case o.seeds == 0 && o.limit == 0:
		return o.one()
	}
	return o.many()
}

// one runs a single seed in this process.
func (o options) one() error {
	script := sim.NewScript(o.first)
	if o.keep != "" {
		var lines []int
		for _, s := range strings.Split(o.keep, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(s))
			if err != nil {
				return fmt.Errorf("-keep: %q is no number", s)
			}
			lines = append(lines, n)
		}
		var err error
		if script, err = sim.Keep(o.first, lines); err != nil {
			return err
		}
	}
	var w io.Writer
	if o.verbose {
		out := bufio.NewWriter(os.Stdout)
		defer func() { _ = out.Flush() }() // it goes to a terminal, or nobody reads it any more
		w = out
	}
	r := sim.RunTo(w, o.first, script)
	if r.Failure != "" {
		return fmt.Errorf("FAIL seed %d: %s", r.Seed, r.Failure)
	}
	fmt.Printf("seed %d: ok, %d turns, %d operations of clients, transcript %016x\n", r.Seed, r.Turns, r.Ops, r.Hash)
	return nil
}

// work runs every stride-th seed and prints one JSON line for each.
func (o options) work(w io.Writer) error {
	begun := time.Now()
	enc := json.NewEncoder(w)
	for n := uint64(0); o.seeds == 0 || n < o.seeds; n += o.stride {
		if o.limit > 0 && time.Since(begun) > o.limit {
			return nil
		}
		r := sim.Run(o.first+n, sim.NewScript(o.first+n))
		r.Script = nil // it is a function of the seed
		if r.Failure == "" {
			r.Tail = nil
		}
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// many shards the seeds over processes and adds up what they say.
func (o options) many() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	begun := time.Now()
	results := make(chan sim.Result, 64)
	ended := make(chan error, o.procs)
	var workers []*exec.Cmd
	for i := range o.procs {
		left := uint64(0)
		if o.seeds > 0 {
			if uint64(i) >= o.seeds {
				break
			}
			left = o.seeds - uint64(i)
		}
		cmd := exec.Command(self, "-worker", "-first", fmt.Sprint(o.first+uint64(i)), "-stride", fmt.Sprint(o.procs),
			"-seeds", fmt.Sprint(left), "-for", o.limit.String())
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=400")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		workers = append(workers, cmd)
		go func() { ended <- collect(cmd, out, results) }()
	}
	defer func() {
		for _, c := range workers {
			_ = c.Process.Kill() // those that have ended don't mind
		}
	}()
	sum := newSummary(begun)
	for running := len(workers); running > 0; {
		select {
		case r := <-results:
			if r.Failure != "" {
				sum.print(os.Stdout)
				return o.explain(r)
			}
			sum.add(r)
		case err := <-ended:
			if err != nil {
				return err
			}
			running--
		}
	}
	for len(results) > 0 {
		r := <-results
		if r.Failure != "" {
			return o.explain(r)
		}
		sum.add(r)
	}
	sum.print(os.Stdout)
	return sum.verdict()
}

func collect(cmd *exec.Cmd, out io.Reader, results chan<- sim.Result) error {
	dec := json.NewDecoder(out)
	for {
		var r sim.Result
		if err := dec.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			return fmt.Errorf("a worker's report: %w", err)
		}
		results <- r
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("a worker ended: %w", err)
	}
	return nil
}

// explain shortens a failing script and prints all there is to know.
func (o options) explain(r sim.Result) error {
	fmt.Printf("FAIL seed %d: %s\n", r.Seed, r.Failure)
	r.Script = sim.NewScript(r.Seed)
	if o.shrink > 0 {
		fmt.Printf("shortening its script of %d lines, in at most %d runs …\n", len(r.Script), o.shrink)
		r = sim.Shrink(r, o.shrink)
	}
	fmt.Println(sim.Explain(r))
	return fmt.Errorf("seed %d failed: %s", r.Seed, r.Failure)
}
