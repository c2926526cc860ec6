package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	etcdClientURL = "http://localhost:2379"
	etcdPeerURL   = "http://localhost:2380"
)

// etcdURLs reads a list of URLs. Sockets are for clients.
func etcdURLs(flag, list string) ([]*url.URL, error) {
	var out []*url.URL
	for _, s := range strings.Split(list, ",") {
		u, err := url.Parse(strings.TrimSpace(s))
		switch {
		case err != nil:
			return nil, fmt.Errorf("--%s: %w", flag, err)
		case isSocket(u) && !strings.Contains(flag, "client"):
			return nil, fmt.Errorf("--%s %s: members don't reach each other through sockets; give an address on 127.0.0.1", flag, s)
		case isSocket(u) && u.Host+u.Path != "":
			u.Host, u.Path = u.Host+u.Path, "" // all of it is the name of a file
		case u.Scheme != "http" && u.Scheme != "https":
			return nil, fmt.Errorf("--%s %q: want http://HOST:PORT or https://HOST:PORT", flag, s)
		case u.Port() == "" || u.Path != "" && u.Path != "/":
			return nil, fmt.Errorf("--%s %q: want a host and a port, and no path", flag, s)
		}
		out = append(out, u)
	}
	return out, nil
}

func isSocket(u *url.URL) bool { return u.Scheme == "unix" || u.Scheme == "unixs" }

// reachable takes a host that is every address of a machine for one of them, as
// manifests for a single member often say 0.0.0.0 where others are to go.
func (c *etcdCommand) reachable(flag string, u *url.URL) string {
	ip := net.ParseIP(u.Hostname())
	if isSocket(u) || u.Hostname() != "" && (ip == nil || !ip.IsUnspecified()) {
		return u.Host
	}
	host := outward()
	c.note("--%s %s is no address that others could go to; they are told %s", flag, u, host)
	return net.JoinHostPort(host, u.Port())
}

// outward is an address of this machine that others may reach.
func outward() string {
	addrs, _ := net.InterfaceAddrs() // none: the loopback one is left
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	return "127.0.0.1"
}

func (c *etcdCommand) identity() error {
	name := c.or("name", "default")
	dir := c.or("data-dir", name+".etcd")
	c.set("name", name)
	c.set("data-dir", dir)
	c.set("cluster", c.or("initial-cluster-token", "etcd-cluster"))
	if _, err := os.Stat(filepath.Join(dir, "member", "wal")); err == nil {
		return fmt.Errorf("--data-dir %s holds data of etcd's, which can't be taken over as it is: start with an empty directory, and bring the keys over from a snapshot or with `etcdctl make-mirror`", dir)
	}
	return nil
}

func (c *etcdCommand) clientAddresses() error {
	listen, err := etcdURLs("listen-client-urls", c.or("listen-client-urls", etcdClientURL))
	if err != nil {
		return err
	}
	first := listen[0]
	if more := c.said["listen-client-http-urls"]; more != "" {
		us, err := etcdURLs("listen-client-http-urls", more)
		if err != nil {
			return err
		}
		listen = append(listen, us...)
	}
	var addrs []string
	for _, u := range listen {
		if a := u.Scheme + "://" + u.Host; !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	c.set("listen", strings.Join(addrs, ","))
	tell := []*url.URL{first}
	if a := c.said["advertise-client-urls"]; a != "" {
		if tell, err = etcdURLs("advertise-client-urls", a); err != nil {
			return err
		}
	}
	var told []string
	for _, u := range tell {
		told = append(told, u.Scheme+"://"+c.reachable("advertise-client-urls", u))
	}
	c.set("advertise", strings.Join(told, ","))
	return nil
}

// own is what this member's peers are told. It is as --initial-cluster has it,
// which is what the others have; of several addresses the first one there.
func (c *etcdCommand) own() (*url.URL, error) {
	var mine []*url.URL
	if list := c.said["initial-cluster"]; list != "" {
		_, mine, _ = c.initialCluster(list) // its faults are told by way
	}
	flag, list := "initial-advertise-peer-urls", c.said["initial-advertise-peer-urls"]
	if list == "" && len(mine) > 0 {
		return mine[0], nil
	}
	if list == "" {
		flag, list = "listen-peer-urls", c.or("listen-peer-urls", etcdPeerURL)
	}
	us, err := etcdURLs(flag, list)
	if err != nil {
		return nil, err
	}
	for _, u := range us {
		u.Host = c.reachable(flag, u)
	}
	for _, m := range mine {
		if slices.ContainsFunc(us, func(u *url.URL) bool { return samePlace(u, m) }) {
			return m, nil
		}
	}
	return us[0], nil
}

// samePlace compares without asking DNS: names have no case (RFC 4343), and the
// loopback interface has several.
func samePlace(a, b *url.URL) bool {
	loopback := func(u *url.URL) bool {
		ip := net.ParseIP(u.Hostname())
		return strings.EqualFold(u.Hostname(), "localhost") || ip != nil && ip.IsLoopback()
	}
	return a.Port() == b.Port() && (strings.EqualFold(a.Hostname(), b.Hostname()) || loopback(a) && loopback(b))
}

func (c *etcdCommand) peerAddresses() error {
	listen, err := etcdURLs("listen-peer-urls", c.or("listen-peer-urls", etcdPeerURL))
	if err != nil {
		return err
	}
	var addrs []string
	for _, u := range listen {
		if u.Scheme != listen[0].Scheme {
			return fmt.Errorf("--listen-peer-urls %s: members speak TLS with each other or plain text, not both: say http everywhere, or https", c.said["listen-peer-urls"])
		}
		addrs = append(addrs, u.Host)
	}
	own, err := c.own()
	if err != nil {
		return err
	}
	if strings.Contains(c.said["initial-advertise-peer-urls"], ",") {
		c.note("members are told one of --initial-advertise-peer-urls, %s; the others are not used", own)
	}
	c.set("peer-listen", strings.Join(addrs, ","))
	if own.Port() != "0" { // else it is the port that will have been chosen
		c.set("peer-advertise", own.Host)
	}
	return nil
}

// way is how the member comes to its cluster. A list with this member alone is
// the operator's word for a cluster of one. The state is not needed: a node
// asks those in the list, and founds only with the agreement of all of them.
func (c *etcdCommand) way() error {
	own, err := c.own()
	if err != nil {
		return nil // told by peerAddresses
	}
	name := c.or("name", "default")
	state := c.or("initial-cluster-state", "")
	switch state {
	case "":
	case "new":
		c.idle = append(c.idle, "--initial-cluster-state")
	case "existing":
		c.idle = append(c.idle, "--initial-cluster-state (MUSTER_JOIN_ONLY=true has a node never found a cluster)")
	default:
		return fmt.Errorf("--initial-cluster-state %q: want new or existing", state)
	}
	list := c.or("initial-cluster", name+"="+own.String())
	seeds, mine, err := c.initialCluster(list)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(mine, func(u *url.URL) bool { return u.Host == own.Host }) {
		return fmt.Errorf("--initial-cluster must have %s=%s in it, which is this member's --name and --initial-advertise-peer-urls", name, own)
	}
	seeds[name] = own.Host
	var hosts []string
	for _, n := range slices.Sorted(maps.Keys(seeds)) {
		hosts = append(hosts, seeds[n])
	}
	switch {
	case len(hosts) > 1:
		c.set("seeds", strings.Join(hosts, ","))
	case state == "existing":
		c.nobody = true // no way to a cluster, but for a member of one already
	default:
		c.set("single", "true")
	}
	return nil
}

// errNobodyToJoin is for a node that was said to join a cluster of which only it
// is known. To take that for a cluster of one would give a member whose disk was
// lost a second, empty cluster.
var errNobodyToJoin = errors.New("--initial-cluster-state is existing, and --initial-cluster names nobody but this member: there is nobody to join. " +
	"Name a member of that cluster there, too; or, to found a cluster of one, leave --initial-cluster-state out")

// initialCluster is one address of each member by name, and all those of this one.
func (c *etcdCommand) initialCluster(list string) (seeds map[string]string, mine []*url.URL, err error) {
	seeds = map[string]string{}
	for _, part := range strings.Split(list, ",") {
		name, addr, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || name == "" {
			return nil, nil, fmt.Errorf("--initial-cluster %q: want NAME=http://HOST:PORT, and more after commas", list)
		}
		us, err := etcdURLs("initial-cluster", addr)
		if err != nil {
			return nil, nil, err
		}
		if name == c.or("name", "default") {
			us[0].Host = c.reachable("initial-cluster", us[0])
			mine = append(mine, us[0])
		}
		if _, ok := seeds[name]; !ok {
			seeds[name] = us[0].Host
		}
	}
	return seeds, mine, nil
}

// security is what the schemes of the URLs decide on, as in etcd.
func (c *etcdCommand) security() error {
	if c.on("auto-tls") && c.said["cert-file"] == "" {
		c.set("auto-tls", "true")
	}
	for _, f := range []string{"client-cert-file", "client-key-file"} {
		switch v := c.said[f]; {
		case v == "":
		case c.said["cert-file"] == "": // as in etcd
			c.idle = append(c.idle, "--"+f)
		default:
			c.set("tls-"+strings.TrimSuffix(f, "-file"), v)
		}
	}
	ca := c.said["trusted-ca-file"]
	switch secure := c.said["cert-file"] != "" || c.on("auto-tls"); {
	case !secure && (ca != "" || c.on("client-cert-auth")):
		c.note("clients speak plain text, since there is no --cert-file, and are not asked for certificates")
	case ca != "":
		c.set("tls-ca", ca)
		c.set("tls-client-auth", "true")
	case c.on("client-cert-auth"):
		return errors.New("--client-cert-auth: name the authority that signs the clients' certificates with --trusted-ca-file")
	}
	return c.peerSecurity()
}

// peerSecurity is by files where there are some, as in etcd.
func (c *etcdCommand) peerSecurity() error {
	listen, err := etcdURLs("listen-peer-urls", c.or("listen-peer-urls", etcdPeerURL))
	if err != nil {
		return nil // told by peerAddresses
	}
	cert, key, ca := c.said["peer-cert-file"], c.said["peer-key-file"], c.said["peer-trusted-ca-file"]
	auto := c.on("peer-auto-tls") && cert == "" && key == ""
	switch {
	case listen[0].Scheme == "http":
		if cert != "" || auto {
			c.note("members speak plain text, since --listen-peer-urls says http, and what --peer-… flags say of certificates is not used")
		}
		return nil
	case auto:
		c.set("peer-auto-tls", "true")
		if asked := c.given("peer-trusted-ca-file", "peer-client-cert-auth", "peer-client-cert-file", "peer-client-key-file", "peer-crl-file", "peer-cert-allowed-cn", "peer-cert-allowed-hostname"); len(asked) > 0 {
			c.note("with --peer-auto-tls no member looks at another's certificate; not used: %s", strings.Join(asked, " "))
		}
		return nil
	case cert == "" || key == "":
		return errors.New("--listen-peer-urls says https: give --peer-cert-file, --peer-key-file and --peer-trusted-ca-file, the authority of the cluster's own that signed all members' certificates; or --peer-auto-tls, which proves nothing")
	case ca == "" && c.on("peer-client-cert-auth"):
		return errors.New("--peer-client-cert-auth: name the authority of the cluster's own that signed all members' certificates with --peer-trusted-ca-file; those that the system trusts let everybody in who has a certificate of one")
	case ca == "":
		c.set("peer-tls-system-roots", "true") // as etcd does without a word
	default:
		c.set("peer-tls-ca", ca)
	}
	c.set("peer-tls-cert", cert)
	c.set("peer-tls-key", key)
	for _, f := range etcdFlags {
		switch f.name {
		case "peer-crl-file", "peer-cert-allowed-cn", "peer-cert-allowed-hostname", "peer-client-cert-file", "peer-client-key-file":
			if v := c.said[f.name]; v != "" {
				c.set(f.to, v)
			}
		}
	}
	return nil
}

// given are those of the flags that ask for something.
func (c *etcdCommand) given(names ...string) (out []string) {
	for _, n := range names {
		if v := c.said[n]; v != "" && v != "false" {
			out = append(out, "--"+n)
		}
	}
	return out
}

func (c *etcdCommand) logging() error {
	if l := c.said["log-level"]; l == "panic" || l == "fatal" || l == "dpanic" {
		c.set("log-level", "error")
	} else if l != "" {
		c.set("log-level", l)
	}
	if list := c.said["log-outputs"]; list != "" {
		outputs := strings.Split(list, ",")
		for i, o := range outputs {
			if o == "default" || o == "systemd/journal" {
				outputs[i] = "stderr"
			}
		}
		c.set("log-outputs", strings.Join(outputs, ","))
	}
	switch f := c.said["log-format"]; f {
	case "", "console":
	case "json":
		c.set("log-format", "json")
	default:
		return fmt.Errorf("--log-format %q: want json or console", f)
	}
	return nil
}
