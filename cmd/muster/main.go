// Command muster runs a member of a cluster, a whole cluster for trying out,
// and asks running ones.
//
// Each subcommand is a file. The command holds no logic of the cluster: serve
// and demo start package server, the others speak to a client port, over
// HTTP for what is about the cluster and over gRPC for keys.
package main

import (
	"io"
	"os"

	"google.golang.org/grpc/grpclog"
)

func main() {
	if os.Getenv("GRPC_GO_LOG_SEVERITY_LEVEL") == "" {
		// By default gRPC writes errors of its own to standard error, such as each
		// request at the gateway that is no JSON, and each client that has gone.
		grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	}
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, environ: os.Environ()}
	os.Exit(int(a.run(os.Args[1:])))
}
