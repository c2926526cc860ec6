package server

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/musterhq/muster"
)

// entrance is one address that clients connect to.
type entrance struct {
	addr   string // host:port, or the file of a socket
	socket bool   // addr is a file
	secure bool   // TLS
}

// entrances are the addresses in Listen. One that says http:// or unix:// is plain
// text even if there is TLS; one that says https:// or unixs:// wants it.
func (c Config) entrances() ([]entrance, error) {
	return c.entrancesIn("address to listen on for clients (--listen)", c.Listen)
}

func (c Config) metricsEntrances() ([]entrance, error) {
	if c.ListenMetrics == "" {
		return nil, nil
	}
	return c.entrancesIn("address to listen on for metrics (--listen-metrics)", c.ListenMetrics)
}

func (c Config) entrancesIn(what, list string) ([]entrance, error) {
	var out []entrance
	for _, a := range strings.Split(list, ",") {
		a = strings.TrimSpace(a)
		scheme, addr, ok := strings.Cut(a, "://")
		if !ok {
			scheme, addr = "", a
		}
		plain, secure, socket := scheme == "http" || scheme == "unix", scheme == "https" || scheme == "unixs", strings.HasPrefix(scheme, "unix")
		_, port, err := net.SplitHostPort(addr)
		switch {
		case ok && !plain && !secure:
			return nil, fmt.Errorf("%w: %s %q: want host:port, or one after http://, https://, unix:// or unixs://", muster.ErrConfig, what, a)
		case socket && addr == "":
			return nil, fmt.Errorf("%w: %s %q names no file", muster.ErrConfig, what, a)
		case !socket && (err != nil || port == ""):
			return nil, fmt.Errorf("%w: %s %q is not host:port", muster.ErrConfig, what, a)
		}
		if secure && !c.TLS.on() {
			return nil, fmt.Errorf("%w: %s %s: there is no certificate to speak TLS with; give --tls-cert and --tls-key, or --auto-tls", muster.ErrConfig, what, a)
		}
		out = append(out, entrance{addr, socket, !plain && c.TLS.on()})
	}
	return out, nil
}

// advertised is what clients are told, separated by commas: the addresses as they
// were given, or the first that is listened on, with https:// where that is TLS.
func (c Config) advertised(ls []net.Listener) string {
	es, err := c.entrances()
	if err != nil {
		return c.Advertise // validate has seen to it
	}
	given := c.Advertise
	switch {
	case given == "" && es[0].socket && es[0].secure:
		given = "unixs://" + es[0].addr
	case given == "" && es[0].socket:
		given = "unix://" + es[0].addr
	case given == "":
		given = ls[0].Addr().String()
	}
	var told []string
	for _, a := range strings.Split(given, ",") {
		a = strings.TrimSpace(a)
		if rest, ok := strings.CutPrefix(a, "http://"); ok {
			a = rest
		} else if es[0].secure && !strings.Contains(a, "://") {
			a = "https://" + a
		}
		told = append(told, a)
	}
	return strings.Join(told, ",")
}

// ports are what is listened on.
type ports struct{ clients, metrics []net.Listener }

// listen opens every entrance, or none.
func (c Config) listen() (p ports, err error) {
	es, err := c.entrances()
	if err != nil {
		return p, err
	}
	ms, err := c.metricsEntrances()
	if err != nil {
		return p, err
	}
	if p.clients, err = listenOn(es, "clients", "--listen"); err != nil {
		return p, err
	}
	if p.metrics, err = listenOn(ms, "metrics", "--listen-metrics"); err != nil {
		return p, errors.Join(err, closeAll(p.clients))
	}
	return p, nil
}

func (p ports) close() error { return errors.Join(closeAll(p.clients), closeAll(p.metrics)) }

func listenOn(es []entrance, whom, flag string) ([]net.Listener, error) {
	var ls []net.Listener
	for _, e := range es {
		l, err := e.listen()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen for %s on %s: %w (choose another with %s)", whom, e.addr, err, flag), closeAll(ls))
		}
		ls = append(ls, l)
	}
	return ls, nil
}

func closeAll(ls []net.Listener) error {
	var errs []error
	for _, l := range ls {
		errs = append(errs, ignoreClosed(l.Close()))
	}
	return errors.Join(errs...)
}

// secure puts TLS on those listeners that are to have it, after making a
// certificate if there is to be one. The node must have its data directory.
func (c *Config) secure(p ports, advertise string) error {
	if !c.TLS.on() {
		return nil
	}
	es, err := c.entrances()
	if err != nil {
		return err
	}
	ms, err := c.metricsEntrances()
	if err != nil {
		return err
	}
	own := c.TLS
	if own.Auto {
		own.CertFile, own.KeyFile, err = autoTLS(c.Node.DataDir, hosts(es, advertise), time.Now())
		if err != nil {
			return err
		}
	}
	cfg := own.server()
	for i, e := range es {
		if e.secure {
			p.clients[i] = secured{p.clients[i], cfg}
		}
	}
	for i, e := range ms {
		if e.secure {
			p.metrics[i] = secured{p.metrics[i], cfg}
		}
	}
	c.TLS = own
	return nil
}

// hosts are the names under which clients may come.
func hosts(es []entrance, advertise string) []string {
	out := []string{"localhost"}
	add := func(addr string) {
		h, _, err := net.SplitHostPort(addr)
		if ip := net.ParseIP(h); err == nil && h != "" && (ip == nil || !ip.IsUnspecified()) && !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	for _, a := range strings.Split(advertise, ",") {
		add(strings.TrimPrefix(a, "https://"))
	}
	for _, e := range es {
		add(e.addr)
	}
	return out
}
