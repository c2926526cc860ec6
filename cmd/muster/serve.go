package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/server"
)

// stopTime bounds the hand-over of leadership and the end of the requests in
// flight when serve is told to stop.
const stopTime = 5 * time.Second

// gcPercent trades memory for speed: with 200, reads measured a tenth less CPU
// time than with Go's 100, and with 400 no less, but a third more memory. GOGC in
// the environment overrides it.
const gcPercent = 200

// heapLimit, beside the cache, is from where on garbage is collected sooner, so
// that what one very large request left behind doesn't let the next ones take
// as much again. GOMEMLIMIT in the environment overrides it.
const heapLimit = 1 << 30

func (a *app) serveCommand() *cobra.Command {
	f := &serveFlags{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run one member of a cluster",
		Long: `Run one member of a cluster until it is told to stop (SIGINT or SIGTERM); it
then hands leadership over and keeps its membership.

Each flag can also be given as an environment variable (--peer-listen as
MUSTER_PEER_LISTEN) or as a key of the file that --config names
(peer-listen: ...). The command line wins over the environment, that over the
file, and that over the defaults.

A directory that belongs to a member already needs neither --seeds nor
--single: it knows its cluster. ` + "`muster help exit-codes`" + ` says how it ends.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			warnings, err := layer(cmd.Flags(), a.environ)
			if err != nil {
				return &coded{exitUsage, err}
			}
			if f.etcdFlags {
				return usage("--etcd-flags is said on the command line, before etcd's flags")
			}
			return a.serveBy(cmd.Context(), f, warnings)
		},
	}
	f.register(cmd.Flags())
	cmd.SetUsageFunc(func(c *cobra.Command) error { return f.printUsage(c.OutOrStderr(), c.UseLine()) })
	return cmd
}

// serveBy runs a server as the flags say.
func (a *app) serveBy(ctx context.Context, f *serveFlags, warnings []string) error {
	out, closeLog, err := openLog(f.logOutputs, a.out, a.err)
	if err != nil {
		return err
	}
	defer closeLog()
	log, err := newLogger(out, f.logLevel, f.logFormat)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		log.Warn(w)
	}
	cfg, err := f.serverConfig(log)
	if err != nil {
		return err
	}
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(gcPercent)
	}
	if _, set := os.LookupEnv("GOMEMLIMIT"); !set {
		debug.SetMemoryLimit(heapLimit + cfg.CacheBytes)
	}
	cfg.Fatal = func(err error) {
		log.Error("the store failed", "node", cfg.Node.Name, "err", err)
		os.Exit(int(exitDisk))
	}
	return a.serve(ctx, cfg, log)
}

// serve runs one server until it ends or is told to.
func (a *app) serve(ctx context.Context, cfg server.Config, log *slog.Logger) error {
	stop, forget := a.stopSignals()
	defer forget()
	srv, err := server.Start(ctx, cfg)
	if err != nil {
		return explainStart(err)
	}
	log.Info("node started", "node", cfg.Node.Name, "addr", srv.PeerAddr(), "client_addr", srv.ClientAddr(), "data_dir", cfg.Node.DataDir)
	ready, forgetReady := context.WithCancel(ctx)
	defer forgetReady()
	go func() {
		if srv.Ready(ready) == nil {
			// Test frameworks written for etcd wait for these words of its log.
			log.Info("ready to serve client requests", "node", cfg.Node.Name, "client_addr", srv.ClientAddr())
		}
	}()
	select {
	case <-srv.Done():
		return a.ended(srv)
	case <-stop:
	}
	log.Info("stopping; a second signal ends at once", "node", cfg.Node.Name)
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, stopTime)
		defer cancel()
		stopped <- srv.Stop(ctx)
	}()
	select {
	case err := <-stopped:
		return err
	case <-stop:
		return &coded{exitFailed, errors.New("told to stop twice: ended at once")}
	}
}

// ended is the error of a server that stopped by itself.
func (a *app) ended(srv *server.Server) error {
	err := srv.Err()
	if errors.Is(err, muster.ErrRemoved) {
		return fmt.Errorf("%w; its directory stays as it is and can't be used again: to come back, start with an empty one", err)
	}
	if err == nil {
		return errors.New("the node stopped by itself")
	}
	err = fmt.Errorf("the node stopped: %w", err)
	if why := srv.Why(); errors.Is(err, muster.ErrDisk) && len(why) > 0 {
		return &hinted{err, "Way out: " + why[0].WayOut}
	}
	return err
}

// stopSignals gives a value for each SIGINT and SIGTERM.
func (a *app) stopSignals() (<-chan struct{}, func()) {
	if a.signals != nil {
		return a.signals, func() {}
	}
	in := make(chan os.Signal, 2)
	out := make(chan struct{}, 2)
	quit := make(chan struct{})
	signal.Notify(in, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		for {
			select {
			case <-in:
				out <- struct{}{}
			case <-quit:
				return
			}
		}
	}()
	return out, func() { signal.Stop(in); close(quit) }
}

// explainStart adds a way to the error of a node that was told of none.
func explainStart(err error) error {
	if !errors.Is(err, muster.ErrNoWay) {
		return err
	}
	return &hinted{err, "To try things out on this machine alone: muster demo"}
}
