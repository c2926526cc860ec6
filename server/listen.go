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
	addr   string // host:port
	secure bool   // TLS
}

// entrances are the addresses in Listen. One that says http:// is plain text
// even if there is TLS; one that says https:// wants it.
func (c Config) entrances() ([]entrance, error) {
	var out []entrance
	for _, a := range strings.Split(c.Listen, ",") {
		a = strings.TrimSpace(a)
		addr, plain := strings.CutPrefix(a, "http://")
		addr, secure := strings.CutPrefix(addr, "https://")
		if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
			return nil, fmt.Errorf("%w: address to listen on for clients (--listen) %q is not host:port", muster.ErrConfig, a)
		}
		if secure && !c.TLS.on() {
			return nil, fmt.Errorf("%w: --listen %s: there is no certificate to speak TLS with; give --tls-cert and --tls-key, or --auto-tls", muster.ErrConfig, a)
		}
		out = append(out, entrance{addr, !plain && c.TLS.on()})
	}
	return out, nil
}

// advertised is what clients are told: the address as it was given, or the first
// that is listened on, with https:// where that is TLS.
func (c Config) advertised(ls []net.Listener) string {
	es, err := c.entrances()
	if err != nil {
		return c.Advertise // validate has seen to it
	}
	if a := c.Advertise; a != "" {
		if rest, ok := strings.CutPrefix(a, "http://"); ok {
			return rest
		}
		if es[0].secure && !strings.Contains(a, "://") {
			return "https://" + a
		}
		return a
	}
	a := ls[0].Addr().String()
	if es[0].secure {
		return "https://" + a
	}
	return a
}

// listen opens every entrance, or none.
func (c Config) listen() ([]net.Listener, error) {
	es, err := c.entrances()
	if err != nil {
		return nil, err
	}
	var ls []net.Listener
	for _, e := range es {
		l, err := net.Listen("tcp", e.addr)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen for clients on %s: %w (choose another with --listen)", e.addr, err), closeAll(ls))
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
func (c *Config) secure(ls []net.Listener, advertise string) error {
	if !c.TLS.on() {
		return nil
	}
	es, err := c.entrances()
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
			ls[i] = secured{ls[i], cfg}
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
	add(strings.TrimPrefix(advertise, "https://"))
	for _, e := range es {
		add(e.addr)
	}
	return out
}
