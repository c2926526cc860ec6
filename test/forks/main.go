// Command forks plays three mishaps to a cluster of real processes on this
// machine, and tells in words what was done, what was seen, and whether the
// cluster forked or lost data:
//
//	go run ./test/forks muster
//	go run ./test/forks etcd
//
// With etcd it fetches etcd's Go module and builds it, which takes a minute or
// so once; both systems run with their documented flags, and nothing is patched
// into either. It ends with code 0 when every scenario that applies came out
// right, with 1 when one did not or could not be played, and with 2 when it was
// called wrongly.
//
// It measures no speed, and it is not what holds muster to more than these
// three: see docs/robustness.md for that.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

const usage = `usage: go run ./test/forks [flags] muster|etcd

`

// options are what the command line says.
type options struct {
	system string
	binary string
	only   string
	json   bool
	logs   bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	o, err := parse(args, errOut)
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(errOut, err)
		}
		return 2
	}
	r, err := playAll(ctx, o, out, errOut)
	if err != nil {
		fmt.Fprintln(errOut, err)
		return 1
	}
	if o.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			fmt.Fprintln(errOut, err)
			return 1
		}
	}
	if !r.Right() {
		return 1
	}
	return 0
}

// parse takes flags before and after the name of the system.
func parse(args []string, errOut io.Writer) (options, error) {
	var o options
	set := flag.NewFlagSet("forks", flag.ContinueOnError)
	set.SetOutput(errOut)
	set.StringVar(&o.binary, "binary", "", "`path` of a built muster or etcd, to play with that one")
	set.StringVar(&o.only, "only", "", "play only these scenarios, such as E1,E3")
	set.BoolVar(&o.json, "json", false, "print the report as JSON, when all is over")
	set.BoolVar(&o.logs, "logs", false, "print the end of every process's log when a scenario did not come out right")
	set.Usage = func() { fmt.Fprint(errOut, usage); set.PrintDefaults() }
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if rest := set.Args(); len(rest) > 0 {
		o.system = rest[0]
		if err := set.Parse(rest[1:]); err != nil {
			return o, err
		}
	}
	if _, err := systemOf(o.system); err != nil || set.NArg() > 0 {
		set.Usage()
		return o, errors.Join(err, extra(set.Args()))
	}
	for name := range strings.SplitSeq(o.only, ",") {
		if name != "" && titles[name] == "" {
			return o, fmt.Errorf("there is no scenario %q: choose from E1, E2, E3", name)
		}
	}
	return o, nil
}

func extra(args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("too many arguments: %q", args)
}

// playAll builds the system and plays what was chosen.
func playAll(ctx context.Context, o options, out, errOut io.Writer) (*Report, error) {
	sys, err := systemOf(o.system)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "forks-"+sys.name())
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left there nobody needs
	if o.binary == "" {
		fmt.Fprintf(errOut, "building %s\n", sys.name())
		if o.binary, err = sys.build(ctx, dir); err != nil {
			return nil, fmt.Errorf("build %s: %w", sys.name(), err)
		}
	}
	version, err := sys.version(ctx, o.binary)
	if err != nil {
		return nil, fmt.Errorf("ask %s for its version: %w", o.binary, err)
	}
	words := out
	if o.json {
		words = io.Discard
	}
	r := &Report{System: sys.name(), Version: version}
	fmt.Fprintf(words, "%s\n", version)
	for _, name := range []string{"E1", "E2", "E3"} {
		if o.only == "" || strings.Contains(","+o.only+",", ","+name+",") {
			r.Scenarios = append(r.Scenarios, play(ctx, sys, o.binary, name, thorough, words, o.logs))
		}
	}
	fmt.Fprintf(words, "\n%s\n", r.summary())
	return r, ctx.Err()
}
