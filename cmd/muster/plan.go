package main

import (
	"context"
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/musterhq/muster/event"
)

func (a *app) planCommand() *cobra.Command {
	var suppose string
	cmd := a.asking(&cobra.Command{
		Use:   "plan",
		Short: "Show what the cluster would do next with its members, and why",
		Long: `Show what the cluster would do next with its members by itself, one change after
the other, and why; with --if, what it would do if something were so. Nothing
is done. --if takes one or more of these, separated by commas:

  remove NAME      an operator removes it
  fail NAME        it stops answering, for good
  recover NAME     it answers again, and catches up
  add [ZONE]       a new member joins, in that zone
  set KEY=VALUE    the policy is changed`,
		Example: "  muster plan\n  muster plan --if 'remove n3'\n  muster plan --if 'fail n1, add eu-west'",
		Args:    noArgs,
	}, func(ctx context.Context, f *clientFlags, _ []string) error {
		path := "/v1/plan"
		if suppose != "" {
			path += "?if=" + url.QueryEscape(suppose)
		}
		var plan event.Forecast
		if _, err := f.ask(ctx, "GET", path, &plan); err != nil {
			return err
		}
		if f.json() {
			return printJSON(a.out, plan)
		}
		printPlan(a.out, plan)
		return nil
	})
	cmd.Flags().StringVar(&suppose, "if", "", "what to suppose, such as 'remove n3'")
	return cmd
}

func printPlan(w io.Writer, p event.Forecast) {
	if p.If != "" {
		fmt.Fprintf(w, "If:    %s\n", p.If)
	}
	fmt.Fprintf(w, "Now:   %s\n", strengthText(p.Before))
	switch {
	case p.Refused != nil:
		fmt.Fprintf(w, "\nThis would be refused: %s\n", p.Refused.Text)
		if p.Refused.WayOut != "" {
			fmt.Fprintf(w, "  way out: %s\n", p.Refused.WayOut)
		}
		return
	case len(p.Changes) == 0:
		fmt.Fprintln(w, "\nNothing would be changed.")
	}
	for i, c := range p.Changes {
		fmt.Fprintf(w, "\n%d. %s\n", i+1, c.Text)
		for _, r := range c.Why {
			fmt.Fprintf(w, "     %s\n", r.Text)
		}
	}
	if len(p.Changes) > 0 {
		fmt.Fprintf(w, "\nThen:  %s\n", strengthText(p.After))
	}
	if len(p.Waiting) > 0 {
		fmt.Fprintln(w, "\nWhat is waited for:")
		printReasons(w, p.Waiting)
	}
}

// strengthText says what a cluster can survive.
func strengthText(s event.Strength) string {
	text := fmt.Sprintf("%s, %s; a quorum is %d, %d answer", event.Count(s.Voters, "voter"), event.Count(s.Learners, "learner"), s.Quorum, s.Active)
	switch {
	case s.Survives < 0:
		return text + ": too few"
	case s.Survives == 0:
		return text + ": no failure would be survived"
	}
	return text + fmt.Sprintf(": %s would be survived", event.Count(s.Survives, "more failure"))
}
