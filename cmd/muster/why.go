package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/server"
)

func (a *app) whyCommand() *cobra.Command {
	return a.asking(&cobra.Command{
		Use:   "why",
		Short: "Say what a node waits for, and what would end the wait",
		Args:  noArgs,
	}, func(ctx context.Context, f *clientFlags, _ []string) error {
		var why server.WhyAnswer
		endpoint, err := f.ask(ctx, "GET", "/v1/why?cluster=1", &why)
		if err != nil {
			return err
		}
		if f.json() {
			return printJSON(a.out, why)
		}
		printWhy(a.out, endpoint, why)
		return nil
	})
}

// explainNode is what status and members show of a node in no cluster.
func (a *app) explainNode(ctx context.Context, f *clientFlags, endpoint string) error {
	var why server.WhyAnswer
	if err := askOne(ctx, "GET", endpoint, "/v1/why?cluster=1", &why); err != nil {
		return err
	}
	printWhy(a.out, endpoint, why)
	return nil
}

func printWhy(w io.Writer, endpoint string, why server.WhyAnswer) {
	who := why.Node
	if who == "" {
		who = why.ID.String()
	}
	switch {
	case why.Stage == "removed":
		fmt.Fprintf(w, "%s at %s was removed from its cluster.\n", who, endpoint)
	case why.ClusterID.IsZero():
		fmt.Fprintf(w, "%s at %s is in no cluster yet (it is to be in %q).\n", who, endpoint, why.Cluster)
	default:
		fmt.Fprintf(w, "%s at %s is a member of %q (%s), now %s.\n", who, endpoint, why.Cluster, why.ClusterID, why.State)
	}
	if len(why.Reasons) == 0 {
		fmt.Fprintln(w, "It waits for nothing.")
	} else {
		printReasons(w, why.Reasons)
	}
	switch {
	case why.LeaderErr != "":
		fmt.Fprintf(w, "\nThe leader, %s, could not be asked: %s\n", why.Leader, why.LeaderErr)
	case len(why.LeaderReasons) > 0:
		fmt.Fprintf(w, "\nThe leader, %s, says:\n", why.Leader)
		printReasons(w, why.LeaderReasons)
	}
}

func printReasons(w io.Writer, reasons []event.Reason) {
	fmt.Fprintln(w)
	for _, r := range reasons {
		fmt.Fprintf(w, "  - %s\n", r.Text)
		if r.WayOut != "" {
			fmt.Fprintf(w, "      way out: %s\n", r.WayOut)
		}
	}
}
