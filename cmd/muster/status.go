package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/musterhq/muster/server"
)

func (a *app) statusCommand() *cobra.Command {
	return a.asking(&cobra.Command{
		Use:   "status",
		Short: "Show the cluster: members, roles, leader, how far each one is",
		Args:  noArgs,
	}, func(ctx context.Context, f *clientFlags, _ []string) error {
		var st server.ClusterStatus
		endpoint, err := f.ask(ctx, "GET", "/v1/status?cluster=1", &st)
		if err != nil {
			return err
		}
		if f.json() {
			return printJSON(a.out, st)
		}
		if st.ClusterID.IsZero() {
			return a.explainNode(ctx, f, endpoint)
		}
		printStatus(a.out, st)
		return nil
	})
}

func printStatus(w io.Writer, st server.ClusterStatus) {
	leader := "none"
	if st.Leader != 0 {
		leader = fmt.Sprintf("%s (%s)", st.LeaderName, st.Leader)
	}
	fmt.Fprintf(w, "cluster  %s  %s\nleader   %s\nterm     %d\n", st.Cluster, st.ClusterID, leader, st.Term)
	if st.Generation > 0 {
		fmt.Fprintf(w, "re-formed after the loss of a majority: generation %d\n", st.Generation)
	}
	if st.Joint {
		fmt.Fprintln(w, "a change of the voters is under way")
	}
	if st.Paused != "" {
		fmt.Fprintf(w, "automatic changes of the members are paused: %s\n", st.Paused)
	}
	fmt.Fprintln(w)
	all := make([]named, 0, len(st.Members))
	for _, m := range st.Members {
		all = append(all, named{m.ID, m.Name, m.Replaces})
	}
	rows := make([][]string, 0, len(st.Members))
	for _, m := range byName(st.Members, func(m server.MemberLine) named { return named{m.ID, m.Name, m.Replaces} }) {
		rows = append(rows, []string{
			m.ID.String(), m.Name, roleText(m), dash(m.ClientAddr), m.PeerAddr,
			number(m.Match), number(m.Committed), number(m.Applied), lineNote(m, all),
		})
	}
	table(w, []string{"ID", "NAME", "ROLE", "CLIENTS", "PEERS", "#MATCH", "#COMMITTED", "#APPLIED", ""}, rows)
}

// roleText is what the member does now.
func roleText(m server.MemberLine) string {
	if m.Leader {
		return "leader"
	}
	return m.Role.String()
}

// number leaves out what is not known.
func number(n uint64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatUint(n, 10)
}

// lineNote is what else is to be said of a member.
func lineNote(m server.MemberLine, all []named) string {
	var notes []string
	if n := pairNote(m.ID, all); n != "" {
		notes = append(notes, n)
	}
	switch {
	case m.Total > 0:
		notes = append(notes, fmt.Sprintf("gets a snapshot: %s of %s", bytesText(m.Sent), bytesText(m.Total)))
	case m.Err != "":
		notes = append(notes, m.Err)
	}
	return strings.Join(notes, "; ")
}
