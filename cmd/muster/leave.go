package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) leaveCommand() *cobra.Command {
	var belowFloor *bool
	cmd := a.asking(&cobra.Command{
		Use:   "leave",
		Short: "Make the node at the endpoint give up its membership, for good",
		Long: `Make the node at the endpoint give up its membership, for good. It is refused
where the members that are left would have no quorum, and where they would be
fewer voters than the policy's floor. The node then ends with exit code 3, and
its directory can't be used again. To stop a node and keep its membership, send
it SIGTERM instead.`,
		Args: noArgs,
	}, func(ctx context.Context, f *clientFlags, _ []string) error {
		if len(f.endpoints) > 1 {
			return usage("leave is for the node at the endpoint: name one, got %q", f.endpoints)
		}
		return a.change(ctx, f, "/v1/leave"+belowFloorQuery(*belowFloor))
	})
	belowFloor = belowFloorFlag(cmd)
	return cmd
}
