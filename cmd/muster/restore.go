package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/musterhq/muster/server"
)

// restoreFlags are those of restore. Those of etcd's that mean nothing here are
// taken to say so.
type restoreFlags struct {
	dir, output                              string
	opt                                      server.RestoreOptions
	initialCluster, initialToken, initialURL string
}

func (a *app) restoreCommand() *cobra.Command {
	f := &restoreFlags{}
	cmd := &cobra.Command{
		Use:   "restore FILE --data-dir DIR",
		Short: "Make a new cluster of a snapshot",
		Long: `Make of a snapshot a data directory with which one node is a new cluster that
holds what the snapshot does. Do it on one node, start that one with
` + "`muster serve --data-dir DIR`" + `, and start all others with empty directories and
--join-only --seeds with its peer address: they join, and fetch the data.

The new cluster has an ID of its own: members and old directories of the cluster
that the snapshot is of are refused. Keys, their history, leases, users and roles
are as in the snapshot; alarms are cleared.

Clients that have seen more than the snapshot holds (with a cache that they keep by
watching, as Kubernetes does) would meet revisions again, with other content:
give --bump-revision more than were written since it was taken, a billion say,
and --mark-compacted, which ends their watches.

DIR is to be missing or empty. Cut short, by a loss of power say, it is a directory
that no node starts on; do it again.`,
		Args: wantArgs(1, 1),
		RunE: func(_ *cobra.Command, args []string) error { return a.restore(f, args[0]) },
	}
	set := cmd.Flags()
	set.StringVar(&f.dir, "data-dir", "", "the new member's directory (default: NAME.muster)")
	set.StringVar(&f.opt.Name, "name", "", "name of the member (default: the host name)")
	set.StringVar(&f.opt.Cluster, "cluster", "muster", "name of the new cluster")
	set.Int64Var(&f.opt.BumpRevision, "bump-revision", 0, "how much to add to the revision")
	set.BoolVar(&f.opt.MarkCompacted, "mark-compacted", false, "have all history compacted, so that watches from before end")
	set.StringVarP(&f.output, "output", "o", "table", "table or json")
	set.StringVar(&f.initialCluster, "initial-cluster", "", "")
	set.StringVar(&f.initialToken, "initial-cluster-token", "", "")
	set.StringVar(&f.initialURL, "initial-advertise-peer-urls", "", "")
	for _, name := range []string{"initial-cluster", "initial-cluster-token", "initial-advertise-peer-urls"} {
		_ = set.MarkHidden(name) // fails for a flag that isn't there alone
	}
	return cmd
}

func (a *app) restore(f *restoreFlags, file string) error {
	switch {
	case f.output != "table" && f.output != "json":
		return usage("--output %q: want table or json", f.output)
	case strings.Contains(f.initialCluster, ","):
		return &hinted{usage("--initial-cluster names several members, and a snapshot is restored on one"),
			"Leave the flag out and restore on one node alone; start the others with empty directories and --join-only --seeds: they join, and fetch the data."}
	case f.opt.BumpRevision < 0:
		return usage("--bump-revision %d: revisions never fall", f.opt.BumpRevision)
	}
	if f.opt.Name == "" {
		host, err := hostName()
		if err != nil {
			return err
		}
		f.opt.Name = host
	}
	if f.dir == "" {
		f.dir = f.opt.Name + ".muster"
	}
	r, err := server.Restore(file, f.dir, f.opt)
	switch {
	case err != nil:
		return err
	case f.output == "json":
		return printJSON(a.out, r)
	}
	fmt.Fprintf(a.out, `restored into %s: member %s (%s) of the new cluster %q, %s

Start it:           muster serve --name %s --cluster %s --data-dir %s
Then, on all others, with empty directories:
                    muster serve --join-only --cluster %s --seeds PEER-ADDRESS-OF-%s
`, r.Dir, r.Name, r.ID, r.Cluster, r.ClusterID, r.Name, r.Cluster, r.Dir, r.Cluster, strings.ToUpper(r.Name))
	return nil
}
