package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) removeCommand() *cobra.Command {
	var belowFloor *bool
	cmd := a.asking(&cobra.Command{
		Use:   "remove ID|NAME",
		Short: "Remove a member from the cluster, for good",
		Long: `Remove a member from the cluster, for good, by its ID or name. It is refused
where the members that are left would have no quorum, and where they would be
fewer voters than the policy's floor: add another member first, or lower the
target with ` + "`muster policy set`" + `. The removed node is told, ends with exit code 3,
and can only come back as a new one on an empty directory.

` + "`muster plan --if 'remove NAME'`" + ` tells what would happen.`,
		Args: wantArgs(1, 1),
	}, func(ctx context.Context, f *clientFlags, args []string) error {
		return a.change(ctx, f, removePath(args[0], *belowFloor))
	})
	belowFloor = belowFloorFlag(cmd)
	return cmd
}
