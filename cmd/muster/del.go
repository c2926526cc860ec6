package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func (a *app) delCommand() *cobra.Command {
	var prefix bool
	cmd := a.asking(&cobra.Command{
		Use:   "del KEY",
		Short: "Delete a key, or with --prefix all keys that begin with it",
		Args:  wantArgs(1, 1),
	}, func(ctx context.Context, f *clientFlags, args []string) error {
		if args[0] == "" {
			return usage("the key is empty")
		}
		req := &pb.DeleteRangeRequest{Key: []byte(args[0])}
		if prefix {
			req.RangeEnd = prefixEnd(req.Key)
		}
		var resp *pb.DeleteRangeResponse
		err := f.withKV(ctx, func(c pb.KVClient) (err error) {
			resp, err = c.DeleteRange(ctx, req)
			return writeError(err)
		})
		if err != nil {
			return err
		}
		if f.json() {
			return printJSON(a.out, map[string]int64{"revision": resp.GetHeader().GetRevision(), "deleted": resp.GetDeleted()})
		}
		fmt.Fprintf(a.out, "%d deleted\n", resp.GetDeleted())
		return nil
	})
	cmd.Flags().BoolVar(&prefix, "prefix", false, "delete all keys that begin with KEY")
	return cmd
}
