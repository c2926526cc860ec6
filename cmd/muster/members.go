package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/musterhq/muster/cluster"
)

// memberRow is one member as `members --output json` shows it.
type memberRow struct {
	cluster.Member
	Leader bool `json:"leader"`
}

func (a *app) membersCommand() *cobra.Command {
	return a.asking(&cobra.Command{
		Use:   "members",
		Short: "List the members and their addresses",
		Args:  noArgs,
	}, func(ctx context.Context, f *clientFlags, _ []string) error {
		var st cluster.Status
		endpoint, err := f.ask(ctx, "GET", "/v1/status", &st)
		if err != nil {
			return err
		}
		list := make([]memberRow, 0, len(st.Members))
		for _, m := range st.Members {
			list = append(list, memberRow{m.Member, m.ID == st.Leader})
		}
		if f.json() {
			return printJSON(a.out, list)
		}
		if st.ClusterID.IsZero() {
			return a.explainNode(ctx, f, endpoint)
		}
		rows := make([][]string, 0, len(list))
		for _, m := range list {
			role := m.Role.String()
			if m.Leader {
				role = "leader"
			}
			rows = append(rows, []string{m.ID.String(), m.Name, role, dash(m.ClientAddr), m.PeerAddr, dash(m.Zone)})
		}
		table(a.out, []string{"ID", "NAME", "ROLE", "CLIENTS", "PEERS", "ZONE"}, rows)
		return nil
	})
}
