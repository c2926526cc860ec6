package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/server"
)

func (a *app) versionCommand() *cobra.Command {
	f := &clientFlags{}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program, or with --endpoint that of a member",
		Args:  noArgs,
	}
	f.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := f.complete(cmd, a); err != nil {
			return err
		}
		v := server.Versions{Muster: muster.Version}
		v.Server = server.EtcdVersion
		if cmd.Flags().Changed("endpoint") {
			if _, err := f.ask(cmd.Context(), "GET", "/version", &v); err != nil {
				return err
			}
		}
		if f.json() {
			return printJSON(a.out, v)
		}
		fmt.Fprintf(a.out, "muster %s\netcd API %s\n", v.Muster, v.Server)
		if !cmd.Flags().Changed("endpoint") {
			fmt.Fprintf(a.out, "%s %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
		}
		return nil
	}
	return cmd
}
