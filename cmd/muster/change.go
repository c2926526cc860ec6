package main

import (
	"context"
	"fmt"
	"net/url"

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

func removePath(member string) string { return "/v1/members/" + url.PathEscape(member) + "/remove" }

func transferPath(member string) string {
	if member == "" {
		return "/v1/transfer"
	}
	return "/v1/transfer?to=" + url.QueryEscape(member)
}
