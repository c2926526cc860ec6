package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"

	"github.com/musterhq/muster/server"
)

func (a *app) snapshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Save what a member's store holds into a file, or look into such a file",
		Long: `A snapshot is one file with everything that the store of a member holds at one
revision: a backup of the cluster. ` + "`muster restore`" + ` makes a new cluster of it.`,
	}
	cmd.AddCommand(a.snapshotSaveCommand(), a.snapshotStatusCommand())
	return cmd
}

func (a *app) snapshotSaveCommand() *cobra.Command {
	f := &clientFlags{}
	cmd := &cobra.Command{
		Use:   "save FILE",
		Short: "Save a snapshot of a running member into a new file",
		Long: `Save a snapshot of a running member into FILE, which must not be there yet. It
holds everything that this member had applied when it was asked; ask one that is
not behind. Until it is whole and was checked it is FILE.part.`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.complete(cmd, a); err != nil {
				return err
			}
			began := time.Now()
			n, err := a.saveSnapshot(cmd.Context(), f, args[0])
			if err != nil {
				return err
			}
			if f.json() {
				return printJSON(a.out, map[string]any{"file": args[0], "bytes": n})
			}
			fmt.Fprintf(a.out, "saved %s: %s in %s, checksum right\n", args[0], bytesText(n), time.Since(began).Round(time.Millisecond))
			return nil
		},
	}
	f.register(cmd)
	return cmd
}

func (a *app) saveSnapshot(ctx context.Context, f *clientFlags, file string) (n int64, err error) {
	if _, err := os.Lstat(file); err == nil {
		return 0, &coded{exitUsage, fmt.Errorf("%s is there already: choose another name, or move it away", file)}
	}
	part := file + ".part"
	out, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(part)
		}
	}()
	n, err = a.receiveSnapshot(ctx, f, out)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return n, err
	}
	if err := server.VerifySnapshot(part); err != nil {
		return n, err
	}
	if err := os.Rename(part, file); err != nil {
		return n, err
	}
	return n, syncDirectory(filepath.Dir(file))
}

// receiveSnapshot writes what the member sends, and how much has come.
func (a *app) receiveSnapshot(ctx context.Context, f *clientFlags, out io.Writer) (n int64, err error) {
	within, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	err = f.withConn(within, func(c grpc.ClientConnInterface) error {
		stream, err := pb.NewMaintenanceClient(c).Snapshot(ctx, &pb.SnapshotRequest{})
		if err != nil {
			return readError(err)
		}
		p := progress{out: a.err}
		for {
			m, err := stream.Recv()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return readError(err)
			}
			if _, err := out.Write(m.GetBlob()); err != nil {
				return err
			}
			n += int64(len(m.GetBlob()))
			p.tell(n, n+int64(m.GetRemainingBytes()))
		}
	})
	return n, err
}

// progress tells how much of something large has come, once a second.
type progress struct {
	out  io.Writer
	told time.Time
}

func (p *progress) tell(n, total int64) {
	now := time.Now()
	if p.told.IsZero() {
		p.told = now // what is done within a second needs no telling
	}
	if now.Sub(p.told) < time.Second {
		return
	}
	p.told = now
	fmt.Fprintf(p.out, "%s of %s (%d %%)\n", bytesText(n), bytesText(total), 100*n/max(total, 1))
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (a *app) snapshotStatusCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status FILE",
		Short: "Check a snapshot, and say what it holds",
		Long: `Check a snapshot, and say what it holds. It is taken apart in a temporary
directory for that (TMPDIR), which has to have as much room as the file takes.`,
		Args: wantArgs(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "table" && output != "json" {
				return usage("--output %q: want table or json", output)
			}
			s, err := server.InspectSnapshot(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if output == "json" {
				return printJSON(a.out, s)
			}
			table(a.out, []string{"HASH", "#REVISION", "#COMPACTED", "#KEYS", "#VERSIONS", "#SIZE"}, [][]string{{
				fmt.Sprintf("%08x", s.Hash), fmt.Sprint(s.Revision), fmt.Sprint(max(s.Compacted, 0)),
				fmt.Sprint(s.Keys), fmt.Sprint(s.Versions), bytesText(s.Bytes),
			}})
			return nil
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}
