package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/musterhq/muster/cluster"
)

// memberRow is one member as `members --output json` shows it.
type memberRow struct {
	cluster.Member
	Leader    bool `json:"leader"`
	Announced bool `json:"announced,omitempty"` // it is to come: ID, peer address and role are as they were announced
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
		list := memberRows(&st)
		if f.json() {
			return printJSON(a.out, list)
		}
		if st.ClusterID.IsZero() {
			return a.explainNode(ctx, f, endpoint)
		}
		printMembers(a.out, list)
		return nil
	})
}

func memberRows(st *cluster.Status) []memberRow {
	list := make([]memberRow, 0, len(st.Members)+len(st.Announced))
	for _, m := range st.Members {
		list = append(list, memberRow{Member: m.Member, Leader: m.ID == st.Leader})
	}
	for _, a := range st.Announced {
		list = append(list, memberRow{Member: expected(a), Announced: true})
	}
	return list
}

func printMembers(w io.Writer, list []memberRow) {
	naming := func(m memberRow) named { return named{m.ID, m.Name, m.Replaces} }
	all := make([]named, 0, len(list))
	for _, m := range list {
		all = append(all, naming(m))
	}
	note := func(m memberRow) string {
		switch {
		case m.Announced:
			return "announced, has not joined"
		case m.Alias != 0 && pairNote(m.ID, all) == "":
			return fmt.Sprintf("announced as %s", m.Alias)
		}
		return pairNote(m.ID, all)
	}
	rows := make([][]string, 0, len(list))
	sorted := byName(list, naming)
	slices.SortStableFunc(sorted, func(a, b memberRow) int { return cmp.Compare(rank(a), rank(b)) })
	for _, m := range sorted {
		role := m.Role.String()
		if m.Leader {
			role = "leader"
		}
		rows = append(rows, []string{m.ID.String(), dash(m.Name), role, dash(strings.Join(m.ClientAddrs(), ",")), m.PeerAddr, dash(m.Zone), note(m)})
	}
	table(w, []string{"ID", "NAME", "ROLE", "CLIENTS", "PEERS", "ZONE", ""}, rows)
}

// rank puts those that are to come behind those that are there.
func rank(m memberRow) int {
	if m.Announced {
		return 1
	}
	return 0
}

// expected is an announcement as a member.
func expected(a cluster.Announced) cluster.Member {
	m := cluster.Member{ID: a.ID, PeerAddr: strings.Join(a.Addrs(), ","), Role: cluster.Voter}
	if a.Learner {
		m.Role = cluster.Learner
	}
	return m
}

// named is what tells members apart that may have one name.
type named struct {
	id       cluster.NodeID
	name     string
	replaces cluster.NodeID
}

// byName sorts members by name; of two with one name, the one that is to be
// replaced comes first.
func byName[M any](ms []M, naming func(M) named) []M {
	return slices.SortedStableFunc(slices.Values(ms), func(a, b M) int {
		x, y := naming(a), naming(b)
		return cmp.Or(strings.Compare(x.name, y.name), cmp.Compare(x.replaces, y.replaces))
	})
}

// pairNote says of a member which other one it replaces, or which one it is
// replaced by; "" for most.
func pairNote(id cluster.NodeID, all []named) string {
	for _, m := range all {
		other := slices.ContainsFunc(all, func(o named) bool { return o.id == m.replaces })
		switch {
		case m.replaces == 0 || !other:
		case m.id == id:
			return fmt.Sprintf("new disk, in place of %s", m.replaces)
		case m.replaces == id:
			return fmt.Sprintf("its disk is gone, %s takes its place", m.id)
		}
	}
	return ""
}
