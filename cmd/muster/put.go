package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func (a *app) putCommand() *cobra.Command {
	return a.asking(&cobra.Command{
		Use:   "put KEY VALUE",
		Short: "Write a key; the value - is read from standard input",
		Args:  wantArgs(2, 2),
	}, func(ctx context.Context, f *clientFlags, args []string) error {
		if args[0] == "" {
			return usage("the key is empty")
		}
		value := []byte(args[1])
		if args[1] == "-" {
			b, err := io.ReadAll(a.in)
			if err != nil {
				return fmt.Errorf("read the value: %w", err)
			}
			value = b
		}
		var resp *pb.PutResponse
		err := f.withKV(ctx, func(c pb.KVClient) (err error) {
			resp, err = c.Put(ctx, &pb.PutRequest{Key: []byte(args[0]), Value: value})
			return writeError(err)
		})
		if err != nil {
			return err
		}
		if f.json() {
			return printJSON(a.out, map[string]int64{"revision": resp.GetHeader().GetRevision()})
		}
		fmt.Fprintf(a.out, "written at revision %d\n", resp.GetHeader().GetRevision())
		return nil
	})
}
