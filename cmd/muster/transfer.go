package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) transferCommand() *cobra.Command {
	return a.asking(&cobra.Command{
		Use:   "transfer [ID|NAME]",
		Short: "Hand leadership to a voter; without a name, to the one that is furthest",
		Args:  wantArgs(0, 1),
	}, func(ctx context.Context, f *clientFlags, args []string) error {
		to := ""
		if len(args) == 1 {
			to = args[0]
		}
		return a.change(ctx, f, transferPath(to))
	})
}
