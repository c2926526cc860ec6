package main

import (
	"context"
	"net/url"

	"github.com/spf13/cobra"
)

func (a *app) promoteCommand() *cobra.Command {
	return a.asking(&cobra.Command{
		Use:   "promote ID|NAME",
		Short: "Let a learner vote that was announced as one",
		Long: `Let a learner vote that was announced as one with ` + "`etcdctl member add --learner`" + `,
by its ID or name. All others are promoted by themselves.

It is refused, with the reason, while the learner is not ready. Where there are
voters enough it is on standby from then on, and votes as soon as the policy
wants one more.`,
		Args: wantArgs(1, 1),
	}, func(ctx context.Context, f *clientFlags, args []string) error {
		return a.change(ctx, f, "/v1/members/"+url.PathEscape(args[0])+"/promote")
	})
}
