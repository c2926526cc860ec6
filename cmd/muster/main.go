// Command muster runs a member of a cluster, a whole cluster for trying out,
// and asks running ones.
//
// Each subcommand is a file. The command holds no logic of the cluster: serve
// and demo start package server, the others speak to a client port, over
// HTTP for what is about the cluster and over gRPC for keys.
package main

import (
	"os"
)

func main() {
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ()}
	os.Exit(int(a.run(os.Args[1:])))
}
