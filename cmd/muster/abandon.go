package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/musterhq/muster/server"
)

func (a *app) abandonCommand() *cobra.Command {
	var gone []string
	cmd := a.asking(&cobra.Command{
		Use:   "abandon-genesis --gone NAME|INCARNATION[,...]",
		Short: "Give up a founding whose other founders are gone for good",
		Long: `Give up a founding that was begun with nodes that are gone for good. ` + "`muster why`" + `
names them where one is in the way: accepted_genesis_blocks, co_founder_missing
or conflict_accepted_genesis.

Say it to every founder that is left, one --endpoint for each. Only when all of
them have given it up do they found anew. Each refuses while one that you name
still answers, and while one that is silent isn't named: a founder of a genesis
that was given up for this one, too, whose disk may only have moved. What was
given up is never taken up again: if one of those that you named comes back
after all, it can found nothing by it, and is to be started with an empty
directory.

You vouch for what no node can know: that no cluster came of it which goes on
without these nodes. If one did, there will be two.`,
		Args: noArgs,
	}, func(ctx context.Context, f *clientFlags, _ []string) error {
		if len(gone) == 0 {
			return usage("name those that are gone for good with --gone")
		}
		path := "/v1/abandon-genesis?gone=" + url.QueryEscape(strings.Join(gone, ","))
		for _, e := range f.endpoints {
			var done server.Done
			one := *f
			one.endpoints = []string{e}
			if _, err := one.ask(ctx, "POST", path, &done); err != nil {
				return err
			}
			if f.json() {
				if err := printJSON(a.out, done); err != nil {
					return err
				}
				continue
			}
			fmt.Fprintln(a.out, done.Done)
		}
		return nil
	})
	cmd.Flags().StringSliceVar(&gone, "gone", nil, "the founders that will never come back, by name or incarnation; all of them")
	return cmd
}
