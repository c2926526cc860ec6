package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// getAnswer is `get --output json`.
type getAnswer struct {
	Revision int64      `json:"revision"` // of the store when it was read
	Count    int64      `json:"count"`    // keys that match, also beyond the limit
	More     bool       `json:"more"`
	KVs      []keyValue `json:"kvs"`
}

func (a *app) getCommand() *cobra.Command {
	var (
		prefix, serializable bool
		revision, limit      int64
	)
	cmd := a.asking(&cobra.Command{
		Use:   "get KEY",
		Short: "Read a key, or with --prefix all keys that begin with it",
		Args:  wantArgs(1, 1),
	}, func(ctx context.Context, f *clientFlags, args []string) error {
		req := &pb.RangeRequest{Key: []byte(args[0]), Revision: revision, Limit: limit, Serializable: serializable}
		switch {
		case revision < 0 || limit < 0:
			return usage("--rev and --limit can't be negative")
		case prefix:
			req.RangeEnd = prefixEnd(req.Key)
			if len(req.Key) == 0 {
				req.Key = []byte{0}
			}
		case args[0] == "":
			return usage("the key is empty; with --prefix that means every key")
		}
		var resp *pb.RangeResponse
		err := f.withKV(ctx, func(c pb.KVClient) (err error) {
			resp, err = c.Range(ctx, req)
			return readError(err)
		})
		if err != nil {
			return err
		}
		return a.printGet(f, resp)
	})
	cmd.Flags().BoolVar(&prefix, "prefix", false, "read all keys that begin with KEY")
	cmd.Flags().Int64Var(&revision, "rev", 0, "read at this revision (0: the newest)")
	cmd.Flags().Int64Var(&limit, "limit", 0, "read at most so many keys (0: all)")
	cmd.Flags().BoolVar(&serializable, "serializable", false, "read what this member holds, which may be old, without asking the others")
	return cmd
}

func (a *app) printGet(f *clientFlags, resp *pb.RangeResponse) error {
	if f.json() {
		out := getAnswer{Revision: resp.GetHeader().GetRevision(), Count: resp.GetCount(), More: resp.GetMore(), KVs: []keyValue{}}
		for _, kv := range resp.GetKvs() {
			out.KVs = append(out.KVs, toKeyValue(kv))
		}
		return printJSON(a.out, out)
	}
	if len(resp.GetKvs()) == 0 {
		fmt.Fprintln(a.err, "no such key")
		return nil
	}
	var rows [][]string
	for _, kv := range resp.GetKvs() {
		rows = append(rows, []string{
			cell(kv.GetKey()), cell(kv.GetValue()),
			strconv.FormatInt(kv.GetModRevision(), 10), strconv.FormatInt(kv.GetVersion(), 10),
		})
	}
	table(a.out, []string{"KEY", "VALUE", "#REVISION", "#VERSION"}, rows)
	if resp.GetMore() {
		fmt.Fprintf(a.err, "%d of %d keys shown\n", len(rows), resp.GetCount())
	}
	return nil
}
