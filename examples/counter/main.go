// Counter is a replicated counter over HTTP: POST / counts, GET / reads.
//
// It is an example and not a service: it shows all that an embedder of muster
// has to write, a state machine and what is proposed to it. See the README for
// how to run three of them.
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/statemachine"
)

// counter is the state machine. Every member applies the same commands.
type counter struct{ n atomic.Int64 }

func (c *counter) Apply([]byte) statemachine.Result { return c.n.Add(1) }

func (c *counter) Save(w io.Writer) error { return binary.Write(w, binary.BigEndian, c.n.Load()) }

func (c *counter) Load(r io.Reader) error {
	var n int64
	err := binary.Read(r, binary.BigEndian, &n)
	c.n.Store(n)
	return err
}

func handler(c *counter, node *muster.Node) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		_, err := node.ReadIndex(ctx) // now this member has all that was ever counted
		answer(w, c.n.Load(), err)
	})
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		n, err := node.Propose(ctx, []byte("+1")) // the error tells whether it may have counted
		answer(w, n, err)
	})
	return mux
}

func answer(w http.ResponseWriter, n any, err error) {
	switch {
	case err == nil:
		fmt.Fprintln(w, n)
	case errors.Is(err, muster.ErrUnknownOutcome):
		http.Error(w, "it may have counted, or not: "+err.Error(), http.StatusGatewayTimeout)
	default:
		http.Error(w, "it did not count: "+err.Error(), http.StatusServiceUnavailable)
	}
}

func main() {
	dir, listen := flag.String("dir", "", "data directory"), flag.String("http", "127.0.0.1:8080", "where to serve")
	peer, seeds := flag.String("peer", "", "where peers connect"), flag.String("seeds", "", "the founders' peer addresses")
	flag.Parse()
	var c counter
	node, err := muster.Start(context.Background(), muster.Config{
		Name: *peer, DataDir: *dir, PeerListen: *peer, Seeds: strings.Split(*seeds, ","), Logger: slog.Default(),
	}, statemachine.InMemory(&c))
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.ListenAndServe(*listen, handler(&c, node))) }()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	select {
	case <-stop: // hand leadership over, if it is here
		bye, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = node.Stop(bye)
	case <-node.Done():
		err = node.Err()
	}
	if err != nil {
		log.Print(err)
	}
}
