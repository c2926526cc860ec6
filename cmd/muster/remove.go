package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) removeCommand() *cobra.Command {
	return a.asking(&cobra.Command{
		Use:   "remove ID|NAME",
		Short: "Remove a member from the cluster, for good",
		Long: `Remove a member from the cluster, for good, by its ID or name. It is refused
where the members that are left would have no quorum. The removed node is told,
ends with exit code 3, and can only come back as a new one on an empty directory.`,
		Args: wantArgs(1, 1),
	}, func(ctx context.Context, f *clientFlags, args []string) error {
		return a.change(ctx, f, removePath(args[0]))
	})
}
