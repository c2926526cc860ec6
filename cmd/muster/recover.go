package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
)

func (a *app) recoverCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Look into a stopped member's directory, or re-form a cluster around it",
		Long: `Surgery on the data directory of a member that doesn't run, for when a majority
of the voters is lost for good. With a majority alive nothing of this is needed:
a member that is gone is removed with ` + "`muster remove`" + `.

On each survivor: stop it, and ` + "`muster recover inspect --data-dir DIR`" + `. Take the
one with the highest last term and, among those, the highest last index; there
` + "`muster recover force-new --data-dir DIR --cluster NAME`" + `, and start it. Start all
others with empty directories: they join.`,
	}
	cmd.AddCommand(a.inspectCommand(), a.forceNewCommand())
	return cmd
}

// surgeryFlags are those of both.
type surgeryFlags struct{ dir, output string }

func (f *surgeryFlags) register(set *pflag.FlagSet) {
	set.StringVar(&f.dir, "data-dir", "", "the stopped member's directory")
	set.StringVarP(&f.output, "output", "o", "table", "table or json")
}

func (f *surgeryFlags) check() error {
	switch {
	case f.dir == "":
		return usage("which directory? Name it with --data-dir")
	case f.output != "table" && f.output != "json":
		return usage("--output %q: want table or json", f.output)
	}
	return nil
}

func (a *app) inspectCommand() *cobra.Command {
	f := &surgeryFlags{}
	cmd := &cobra.Command{
		Use:   "inspect --data-dir DIR",
		Short: "Show what a stopped member's directory holds; changes nothing of it",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := f.check(); err != nil {
				return err
			}
			r, err := muster.Inspect(f.dir)
			switch {
			case err != nil:
				return err
			case f.output == "json":
				return printJSON(a.out, r)
			}
			printInspection(a.out, &r)
			return nil
		},
	}
	f.register(cmd.Flags())
	return cmd
}

func (a *app) forceNewCommand() *cobra.Command {
	f := &surgeryFlags{}
	var opt muster.ForceNewOptions
	var yes bool
	cmd := &cobra.Command{
		Use:   "force-new --data-dir DIR (--cluster NAME | --yes)",
		Short: "Re-form a cluster around one stopped member; the others are given up",
		Long: `Re-form the cluster around the member whose directory this is, after a majority
of the voters was lost for good. It keeps all that its log holds, becomes the only
voter, and begins a new generation of the cluster. All others are given up, also
those that are well: what they had acknowledged and this one doesn't hold is lost.

Make sure that the others don't run, and stay down until this one is started:
among themselves they can't know, and may still be a majority of the old cluster.
As soon as one of them meets the new generation it is refused, stops with exit
code 5, and doesn't start again on its directory.

It asks no question: --cluster with the cluster's name, or --yes, says that it is
meant. Without either it says what it would do. Stopped in the middle, by a loss
of power say, it is finished by the next start of the member or by a second call.`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := f.check(); err != nil {
				return err
			}
			if opt.Cluster == "" && !yes {
				return a.proposeForceNew(f.dir)
			}
			out, err := muster.ForceNew(f.dir, opt)
			switch {
			case err != nil:
				return err
			case f.output == "json":
				return printJSON(a.out, out)
			}
			printReformation(a.out, &out)
			return nil
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().BoolVar(&opt.Outdated, "outdated", false, "the cluster was re-formed around another member by mistake: take this one all the same, and give that one up")
	cmd.Flags().StringVar(&opt.Cluster, "cluster", "", "the cluster's name: that it is meant, and this directory")
	cmd.Flags().BoolVar(&yes, "yes", false, "it is meant, whatever the cluster's name")
	return cmd
}

// proposeForceNew says what would be done.
func (a *app) proposeForceNew(dir string) error {
	r, err := muster.Inspect(dir)
	if err != nil {
		return err
	}
	printInspection(a.err, &r)
	if r.Unfit != "" {
		return &coded{exitData, fmt.Errorf("the cluster can't be re-formed around it: %s", r.Unfit)}
	}
	return usage("nothing was changed. Re-forming gives up %d other members, and all that they hold beyond index %d. Compare it with the other survivors first; if it is meant, say so: --cluster %s", len(r.Members)-1, r.LastIndex, r.Cluster)
}

func printInspection(w io.Writer, r *muster.Inspection) {
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "%-13s %s\n", what, fmt.Sprintf(format, args...))
	}
	line("member", "%s (%s), incarnation %s, %d boots", r.Name, r.ID, r.Incarnation, r.Epoch)
	if r.ClusterID.IsZero() {
		line("cluster", "in none; %s", r.Stage)
	} else {
		line("cluster", "%s (%s), generation %d; stage %s", cmp.Or(r.Cluster, "name not known yet"), r.ClusterID, r.Generation, r.Stage)
	}
	if r.Outdated != "" {
		line("outdated", "%s", r.Outdated)
	}
	line("last entry", "term %d, index %d", r.LastTerm, r.LastIndex)
	line("term", "%d", r.Term)
	line("committed", "index %d at least; %d entries above, of which nobody here knows", r.Committed, r.LastIndex-r.Committed)
	line("snapshot", "index %d; the log begins at %d", r.Snapshot, r.First)
	if len(r.Members) > 0 {
		fmt.Fprintf(w, "\nMembers as of the last entry%s:\n\n", map[bool]string{true: ", within a joint configuration"}[r.Joint])
		rows := make([][]string, 0, len(r.Members))
		for _, m := range r.Members {
			rows = append(rows, []string{m.ID.String(), m.Name, m.Role.String(), m.PeerAddr, dash(m.Zone)})
		}
		table(w, []string{"ID", "NAME", "ROLE", "PEERS", "ZONE"}, rows)
	}
	fmt.Fprintln(w)
	switch {
	case r.Unfit != "":
		fmt.Fprintf(w, "The cluster can't be re-formed around it: %s.\n", r.Unfit)
	default:
		fmt.Fprintf(w, "To compare with other survivors: generation %d, last term %d, last index %d. The highest has the\nmost, in this order.\n", r.Generation, r.LastTerm, r.LastIndex)
		if r.Role() == cluster.Learner {
			fmt.Fprintln(w, "It is a learner: it never voted for what was committed, and may lack the newest of it.")
		}
	}
}

func printReformation(w io.Writer, o *muster.Reformation) {
	if o.Before {
		fmt.Fprintln(w, "It was done before; nothing was written.")
	}
	fmt.Fprintf(w, "Cluster %s (%s) is re-formed around %s: generation %d.\n", o.Cluster, o.ClusterID, o.Name, o.Generation)
	fmt.Fprintf(w, "Kept: all entries to index %d, %d of which were not known to be committed.\n", o.Kept, o.Unknown)
	fmt.Fprintf(w, "Lost: what was acknowledged by others and is not among them. Given up, for good:\n\n")
	rows := make([][]string, 0, len(o.Lost))
	for _, t := range o.Lost {
		rows = append(rows, []string{t.ID.String(), t.Name})
	}
	table(w, []string{"ID", "NAME"}, rows)
	fmt.Fprintf(w, `
Next:
  1. Start %s as before: it leads alone, and serves.
  2. Keep the directories of the others elsewhere, if they may be worth something.
  3. Start the others with empty directories, and --join-only --seeds with the
     peer address of %s: they join as new members, and vote when they have caught up.
`, o.Name, o.Name)
}
