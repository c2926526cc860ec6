package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// app is what a run of the command may touch of the outside.
type app struct {
	in       io.Reader
	out, err io.Writer
	environ  []string // as os.Environ

	// signals, when not nil, takes the place of SIGINT and SIGTERM.
	signals chan struct{}

	started bool // the command line was understood; owned by run
}

// run carries out one command line.
func (a *app) run(args []string) exitCode {
	root := a.root()
	root.SetArgs(byEtcdsFlags(args))
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	cmd, err := root.ExecuteContextC(context.Background())
	if err == nil {
		return exitOK
	}
	code := codeOf(err)
	if !a.started {
		code = exitUsage
	}
	a.complain(err)
	var hint *hinted
	switch {
	case errors.As(err, &hint):
		fmt.Fprintln(a.err, strings.TrimRight(hint.hint, "\n"))
	case !a.started:
		fmt.Fprintf(a.err, "Run `%s --help` to see what there is.\n", cmd.CommandPath())
	}
	return code
}

// complain writes an error, one line for each fault.
func (a *app) complain(err error) {
	for i, line := range strings.Split(err.Error(), "\n") {
		if i == 0 {
			fmt.Fprintf(a.err, "muster: %s\n", line)
			continue
		}
		fmt.Fprintf(a.err, "        %s\n", line)
	}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "muster",
		Short: "Clusters that form, join, grow and heal by themselves",
		Long: `muster runs members of a Raft cluster that forms, joins, grows and heals by
itself, holds keys and values, and speaks the etcd v3 API.

  muster demo                       three members on this machine, to try things out
  muster serve --single             a cluster of one, that others can join
  muster serve --seeds a:2380,b:2380,c:2380
                                    one of three members that found a cluster together`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(*cobra.Command, []string) error { a.started = true; return nil },
	}
	root.AddCommand(
		a.serveCommand(), a.serveEtcdCommand(), a.demoCommand(),
		a.statusCommand(), a.membersCommand(), a.whyCommand(),
		a.leaveCommand(), a.removeCommand(), a.promoteCommand(), a.transferCommand(),
		a.planCommand(), a.policyCommand(), a.pauseCommand(), a.resumeCommand(),
		a.abandonCommand(), a.recoverCommand(),
		a.snapshotCommand(), a.restoreCommand(),
		a.putCommand(), a.getCommand(), a.delCommand(),
		a.versionCommand(), exitCodesTopic(),
	)
	return root
}
