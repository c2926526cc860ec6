package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/server"
)

// serveEtcd is the command that `serve --etcd-flags` is in fact: etcd's flags
// are read by other rules than ours, and some have our names but other values.
const serveEtcd = "serve-etcd-flags"

// byEtcdsFlags has a command line with --etcd-flags run that command.
func byEtcdsFlags(args []string) []string {
	i := slices.Index(args, "--etcd-flags")
	if i < 1 || args[0] != "serve" {
		return args
	}
	return slices.Concat([]string{serveEtcd}, args[1:i], args[i+1:])
}

func (a *app) serveEtcdCommand() *cobra.Command {
	return &cobra.Command{
		Use: serveEtcd, Hidden: true, DisableFlagParsing: true,
		Short: "serve --etcd-flags",
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := parseEtcd(args, a.environ)
			switch {
			case errors.Is(err, errEtcdHelp):
				a.printEtcdHelp()
				return nil
			case errors.Is(err, errEtcdVersion):
				fmt.Fprintf(a.out, "etcd Version: %s\n", server.EtcdVersion)
				return nil
			case err != nil:
				return err
			}
			f := &serveFlags{}
			set := pflag.NewFlagSet("serve", pflag.ContinueOnError)
			f.register(set)
			if err := c.apply(set); err != nil {
				return err
			}
			warnings, err := layer(set, a.environ) // what etcd has no flag for
			if err != nil {
				return &coded{exitUsage, err}
			}
			warnings = append(warnings, c.notes...)
			if len(c.idle) > 0 {
				warnings = append(warnings, "flags of etcd's that mean nothing here: "+strings.Join(c.idle, " "))
			}
			if err = a.serveBy(cmd.Context(), f, warnings); c.nobody && errors.Is(err, muster.ErrNoWay) {
				return &coded{exitUsage, errNobodyToJoin}
			}
			return err
		},
	}
}

// printEtcdHelp lists etcd's flags with what is made of them.
func (a *app) printEtcdHelp() {
	fmt.Fprint(a.out, `muster serve --etcd-flags takes etcd's flags, variables ETCD_... and --config-file.
What etcd has no flag for is given as a variable: --zone as MUSTER_ZONE.

`)
	rows := make([][]string, 0, len(etcdFlags))
	for _, f := range etcdFlags {
		rows = append(rows, []string{"--" + f.name, strings.ReplaceAll(f.becomes(), "`", "")})
	}
	table(a.out, []string{"ETCD", "MUSTER"}, rows)
}

// becomes says what a flag becomes, in Markdown.
func (f etcdFlag) becomes() string {
	var out string
	switch {
	case f.kind == pointless || f.kind == ignored:
		out = "accepted; means nothing here"
	case f.kind == refused || f.to == "":
		out = "refused"
	default:
		out = "`--" + f.to + "`"
	}
	if f.note != "" {
		out += "; " + f.note
	}
	return strings.Replace(out, "refused; refused,", "refused,", 1)
}
