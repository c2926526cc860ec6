package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/musterhq/muster/server"
)

// change asks a member for a change of the cluster and says what was done.
func (a *app) change(ctx context.Context, f *clientFlags, path string) error {
	var done server.Done
	if _, err := f.ask(ctx, "POST", path, &done); err != nil {
		return err
	}
	if f.json() {
		return printJSON(a.out, done)
	}
	fmt.Fprintln(a.out, done.Done)
	return nil
}

func removePath(member string, belowFloor bool) string {
	return "/v1/members/" + url.PathEscape(member) + "/remove" + belowFloorQuery(belowFloor)
}

func belowFloorQuery(yes bool) string {
	if yes {
		return "?below_floor=1"
	}
	return ""
}

// belowFloorFlag is common to those commands that take members out.
func belowFloorFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("below-floor", false, "even if fewer voters are left than the policy's floor; never without a quorum")
}

func transferPath(member string) string {
	if member == "" {
		return "/v1/transfer"
	}
	return "/v1/transfer?to=" + url.QueryEscape(member)
}
