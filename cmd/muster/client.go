package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const defaultEndpoint = "127.0.0.1:2379"

// clientFlags are common to the commands that ask a running member.
type clientFlags struct {
	endpoints []string
	output    string
	timeout   time.Duration
	tls       clientTLS
	secret    *tls.Config // set by complete
	login     login
}

func (f *clientFlags) register(cmd *cobra.Command) {
	set := cmd.Flags()
	set.StringSliceVar(&f.endpoints, "endpoint", []string{defaultEndpoint}, "client address of a member; repeat it to have them tried in turn (env MUSTER_ENDPOINT)")
	f.tls.register(set)
	f.login.register(set)
	set.StringVar(&f.output, "output", "table", "table or json")
	set.DurationVar(&f.timeout, "timeout", 5*time.Second, "how long to wait for an answer")
}

// asking is a command that asks a member: it checks the common flags and
// bounds ctx by the timeout.
func (a *app) asking(cmd *cobra.Command, run func(ctx context.Context, f *clientFlags, args []string) error) *cobra.Command {
	f := &clientFlags{}
	f.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.complete(cmd, a); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
		defer cancel()
		return run(ctx, f, args)
	}
	return cmd
}

// complete fills in the environment, checks, and may ask for a password.
func (f *clientFlags) complete(cmd *cobra.Command, a *app) error {
	environ := a.environ
	from := "--endpoint"
	if !cmd.Flags().Changed("endpoint") {
		for _, kv := range environ {
			if v, ok := strings.CutPrefix(kv, "MUSTER_ENDPOINT="); ok && v != "" {
				f.endpoints = strings.Split(v, ",")
				from = "MUSTER_ENDPOINT"
			}
		}
	}
	f.tls.fromEnvironment(cmd.Flags(), environ)
	var err error
	if f.secret, err = f.tls.config(); err != nil {
		return err
	}
	for i, e := range f.endpoints {
		// etcdctl's users are used to URLs.
		e = strings.TrimSuffix(strings.TrimSpace(e), "/")
		addr, plain := strings.CutPrefix(e, "http://")
		addr, secure := strings.CutPrefix(addr, "https://")
		if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
			return usage("%s %q is not HOST:PORT", from, f.endpoints[i])
		}
		if f.endpoints[i] = addr; secure || !plain && f.tls.wanted() {
			f.endpoints[i] = "https://" + addr
		}
	}
	if len(f.endpoints) == 0 {
		return usage("%s is empty: want HOST:PORT", from)
	}
	if f.output != "table" && f.output != "json" {
		return usage("--output %q: want table or json", f.output)
	}
	if f.timeout <= 0 {
		return usage("--timeout %v: want a positive time", f.timeout)
	}
	return f.login.complete(cmd, a)
}

func (f *clientFlags) json() bool { return f.output == "json" }

// unreachable is a request that never got to the member at an endpoint.
type unreachable struct {
	endpoint string
	err      error
}

func (e *unreachable) Error() string {
	err := e.err
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err // which doesn't name the address again
	}
	return fmt.Sprintf("no muster answers at %s: %v", e.endpoint, err)
}
func (e *unreachable) Unwrap() error { return e.err }

// anyEndpoint tries one endpoint after the other, as long as the request did
// not even arrive.
func anyEndpoint(f *clientFlags, try func(endpoint string) error) error {
	var faults []error
	for _, e := range f.endpoints {
		err := try(e)
		var none *unreachable
		if !errors.As(err, &none) {
			return err
		}
		faults = append(faults, err)
	}
	return &hinted{errors.Join(faults...), "Is the member running, and is this its client port? Start one with `muster serve`, or name another with --endpoint HOST:PORT."}
}
