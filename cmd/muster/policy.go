package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/server"
)

// settings says what each setting of the policy is, and its default.
var settings = map[string][2]string{
	"target-voters": {"how many members shall vote; odd", "5; 3 with fewer than five members, 1 with fewer than three"},
	"floor":         {"below how many voters nothing may bring the cluster", "the target"},
	"stability":     {"how long a learner must have answered before it votes", "10 heartbeats"},
	"dead-after":    {"silence after which a standby takes a voter's place", "30s"},
	"remove-after":  {"silence after which a replaced member is removed, for good", "24h"},
	"join-expiry":   {"after which an admitted member that never came is removed", "10m"},
	"leader-zones":  {"zones that the leader should be in, best first", "any"},
	"paused":        {"why nothing is changed automatically", "not paused"},
}

func (a *app) policyCommand() *cobra.Command {
	cmd := a.asking(&cobra.Command{
		Use:   "policy",
		Short: "Show what the cluster aims at: voters, floor, zones, times",
		Long: `Show what the cluster aims at. The policy is the cluster's own: whoever leads
goes by it, and it is changed while the cluster runs, with ` + "`muster policy set`" + `.

` + settingsText(),
		Args: noArgs,
	}, func(ctx context.Context, f *clientFlags, _ []string) error {
		var p server.PolicyAnswer
		if _, err := f.ask(ctx, "GET", "/v1/policy", &p); err != nil {
			return err
		}
		if f.json() {
			return printJSON(a.out, p)
		}
		var rows [][]string
		for _, key := range cluster.PolicyKeys() {
			value := p.Settings[key]
			if value == "" {
				value = "default: " + settings[key][1]
			}
			rows = append(rows, []string{key, value})
		}
		table(a.out, []string{"SETTING", "VALUE"}, rows)
		return nil
	})
	cmd.AddCommand(a.policySetCommand())
	return cmd
}

func settingsText() string {
	var b strings.Builder
	for _, key := range cluster.PolicyKeys() {
		fmt.Fprintf(&b, "  %-14s %s (default: %s)\n", key, settings[key][0], settings[key][1])
	}
	return strings.TrimRight(b.String(), "\n")
}

func (a *app) policySetCommand() *cobra.Command {
	var because string
	cmd := a.asking(&cobra.Command{
		Use:   "set KEY=VALUE...",
		Short: "Change what the cluster aims at",
		Long: `Change settings of the policy, all at once or none. An empty value brings the
default back. ` + "`muster plan --if 'set KEY=VALUE'`" + ` tells what would come of it.

` + settingsText(),
		Example: "  muster policy set target-voters=3\n  muster policy set dead-after=2m remove-after=never\n  muster policy set floor=",
		Args:    cobra.ArbitraryArgs,
	}, func(ctx context.Context, f *clientFlags, args []string) error {
		var alone cluster.Policy // whether they go together, the cluster knows
		var faults []error
		edit := server.PolicyEdit{Settings: map[string]string{}, Why: because}
		for _, arg := range args {
			key, value, ok := strings.Cut(arg, "=")
			if _, twice := edit.Settings[key]; !ok || twice {
				return usage("%q: want each setting once, as KEY=VALUE", arg)
			}
			edit.Settings[key] = value
			faults = append(faults, alone.Set(key, value))
		}
		if len(args) == 0 {
			return usage("which setting? want KEY=VALUE, with one of %s", strings.Join(cluster.PolicyKeys(), ", "))
		}
		if err := errors.Join(faults...); err != nil {
			return &coded{exitUsage, err}
		}
		return a.setPolicy(ctx, f, edit)
	})
	cmd.Flags().StringVar(&because, "because", "", "why, for those who read the events")
	return cmd
}

func (a *app) setPolicy(ctx context.Context, f *clientFlags, edit server.PolicyEdit) error {
	var done server.Done
	if _, err := f.tell(ctx, "POST", "/v1/policy", edit, &done); err != nil {
		return err
	}
	if f.json() {
		return printJSON(a.out, done)
	}
	fmt.Fprintln(a.out, done.Done)
	return nil
}

func (a *app) pauseCommand() *cobra.Command {
	var because string
	cmd := a.asking(&cobra.Command{
		Use:   "pause",
		Short: "Let nothing be changed automatically: no promotion, demotion or removal, no hand-over by zone",
		Long: `Let nothing about the members be changed automatically, until ` + "`muster resume`" + `.
Nodes still join, as learners, and what is asked for by name is still done.`,
		Args: noArgs,
	}, func(ctx context.Context, f *clientFlags, _ []string) error {
		if because == "" {
			return usage("--because is empty: say why, for those who find the cluster paused")
		}
		return a.setPolicy(ctx, f, server.PolicyEdit{Settings: map[string]string{"paused": because}, Why: because})
	})
	cmd.Flags().StringVar(&because, "because", "by an operator", "why, for those who find the cluster paused")
	return cmd
}

func (a *app) resumeCommand() *cobra.Command {
	return a.asking(&cobra.Command{
		Use:   "resume",
		Short: "Let the cluster change its members by itself again, after `muster pause`",
		Args:  noArgs,
	}, func(ctx context.Context, f *clientFlags, _ []string) error {
		return a.setPolicy(ctx, f, server.PolicyEdit{Settings: map[string]string{"paused": ""}, Why: "resumed"})
	})
}
