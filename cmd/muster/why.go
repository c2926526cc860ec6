package main

import (
	"context"

	"github.com/spf13/cobra"

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
	if err := f.askOne(ctx, "GET", endpoint, "/v1/why?cluster=1", &why); err != nil {
		return err
	}
	printWhy(a.out, endpoint, why)
	return nil
}
