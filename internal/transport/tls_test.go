package transport

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/testcert"
	"github.com/musterhq/muster/internal/wire"
)

// turnedTo notes what a transport says of connections that came to nothing.
type turnedTo struct {
	mu   sync.Mutex
	all  []Turned
	some chan struct{} // gets one for each; nil: nobody waits
}

func (x *turnedTo) note(e Turned) {
	x.mu.Lock()
	x.all = append(x.all, e)
	x.mu.Unlock()
	if x.some != nil {
		x.some <- struct{}{}
	}
}

// wait returns when there is one more, or the test has waited for long enough.
func (x *turnedTo) wait() {
	select {
	case <-x.some:
	case <-time.After(time.Minute):
	}
}

func (x *turnedTo) find(ok func(Turned) bool) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.all {
		if ok(e) {
			return true
		}
	}
	return false
}

func files(a *testcert.Authority, p testcert.Pair) TLS {
	return TLS{Cert: p.Cert, Key: p.Key, CA: a.File}
}

// Whatever is wrong with certificates, both sides say it in words, whether over
// the network in memory or over TCP, and nothing of either is heard by the other.
func TestTLSTrouble(t *testing.T) {
	const hour = time.Hour
	ours, foreign := testcert.New(t, "ours"), testcert.New(t, "foreign")
	good := func(name string) TLS { return files(ours, ours.Issue(name, -hour, hour)) }
	missing := good("missing")
	if err := os.Remove(missing.Key); err != nil {
		t.Fatal(err)
	}
	own := func() TLS {
		f, err := SelfMade(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	bad, crl := ours.Issue("bad", -hour, hour), filepath.Join(t.TempDir(), "crl")
	badB := ours.Issue("b", -hour, hour)
	ours.Revoke(crl, bad, badB)
	revoking := func(f TLS) TLS { f.Revoked = crl; return f }
	only := func(f TLS, cns, hosts []string) TLS { f.CommonNames, f.Hostnames = cns, hosts; return f }
	none := revoking(good("none"))
	server, client := x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth
	two := func(name string) TLS {
		f, mine := files(ours, ours.Issue(name, -hour, hour, server)), ours.Issue(name+"-client", -hour, hour, client)
		f.ClientCert, f.ClientKey = mine.Cert, mine.Key
		return f
	}
	stale := good("stale")
	old := ours.Issue("old", -2*hour, -hour)
	lost := good("lost")
	lost.ClientCert, lost.ClientKey = "nowhere", "nowhere"
	stale.ClientCert, stale.ClientKey = old.Cert, old.Key
	none.Revoked += "x"
	public := func(name string, trusts *testcert.Authority) TLS {
		b, err := os.ReadFile(trusts.File)
		if err != nil {
			t.Fatal(err)
		}
		f := files(ours, ours.Issue(name, -hour, hour, server))
		f.CA, f.System, f.roots = "", true, x509.NewCertPool()
		f.roots.AppendCertsFromPEM(b)
		return f
	}
	plain := TLS{}
	for _, c := range []struct {
		name               string
		dialler, acceptor  TLS
		atDialler, atOther wire.RefusalCode // "": fine
		words              string           // at one side
	}{
		{"both are well", good("a"), good("b"), "", "", ""},
		{"the dialler's has expired", files(ours, ours.Issue("a", -2*hour, -hour)), good("b"), wire.RefusedTLSExpired, wire.RefusedTLSExpired, "this node's own certificate"},
		{"the acceptor's has expired", good("a"), files(ours, ours.Issue("b", -2*hour, -hour)), wire.RefusedTLSExpired, wire.RefusedTLSExpired, "CN=b"},
		{"the dialler's is not valid yet", files(ours, ours.Issue("a", hour, 2*hour)), good("b"), wire.RefusedTLSNotYet, wire.RefusedTLSNotYet, "clock"},
		{"the acceptor's is not valid yet", good("a"), files(ours, ours.Issue("b", hour, 2*hour)), wire.RefusedTLSNotYet, wire.RefusedTLSNotYet, "clock"},
		{"the dialler's is of a foreign authority", files(ours, foreign.Issue("a", -hour, hour)), good("b"), wire.RefusedTLSAuthority, wire.RefusedTLSAuthority, "CN=foreign"},
		{"the acceptor's is of a foreign authority", good("a"), files(ours, foreign.Issue("b", -hour, hour)), wire.RefusedTLSAuthority, wire.RefusedTLSCertificate, "CN=foreign"},
		{"the dialler's is for servers alone", files(ours, ours.Issue("a", -hour, hour, x509.ExtKeyUsageServerAuth)), good("b"), wire.RefusedTLSCertificate, wire.RefusedTLSCertificate, "usage"},
		{"the acceptor's is for clients alone", good("a"), files(ours, ours.Issue("b", -hour, hour, x509.ExtKeyUsageClientAuth)), wire.RefusedTLSCertificate, wire.RefusedTLSCertificate, "usage"},
		{"both have one for each side", two("a"), two("b"), "", "", ""},
		{"the dialler's for that has expired", stale, good("b"), wire.RefusedTLSExpired, wire.RefusedTLSExpired, "own certificate, " + old.Cert},
		{"the acceptor's for that is gone", good("a"), lost, "", "", ""},
		{"the acceptor's for that has expired", good("a"), stale, "", "", ""},
		{"the system trusts both", public("a", ours), public("b", ours), "", "", ""},
		{"the acceptor asks for nothing, the dialler has an authority", good("a"), public("b", foreign), "", "", ""},
		{"the dialler's system doesn't trust it", public("a", foreign), public("b", ours), wire.RefusedTLSAuthority, wire.RefusedTLSCertificate, "CN=ours"},
		{"the acceptor has an authority", public("a", ours), good("b"), wire.RefusedTLSCertificate, wire.RefusedTLSCertificate, "usage"},
		{"the system trusts one that is revoked", revoking(public("a", ours)), files(ours, badB), wire.RefusedTLSCertificate, wire.RefusedTLSCertificate, "was revoked"},
		{"the dialler speaks plain text", plain, good("b"), wire.RefusedTLSExpected, wire.RefusedTLSExpected, "plain text"},
		{"the acceptor speaks plain text", good("a"), plain, wire.RefusedTLSExpected, wire.RefusedTLSExpected, "plain text"},
		{"both have made their own", own(), own(), "", "", ""},
		{"the dialler has made its own", own(), good("b"), wire.RefusedTLSAuthority, wire.RefusedTLSAuthority, "O=muster"},
		{"the acceptor has made its own", good("a"), own(), wire.RefusedTLSAuthority, wire.RefusedTLSCertificate, "O=muster"},
		{"the dialler has made its own, the acceptor speaks plain text", own(), plain, wire.RefusedTLSExpected, wire.RefusedTLSExpected, "plain text"},
		{"others are revoked", revoking(good("a")), revoking(good("b")), "", "", ""},
		{"the dialler's is revoked", files(ours, bad), revoking(good("b")), wire.RefusedTLSCertificate, wire.RefusedTLSCertificate, "CN=bad, serial number"},
		{"the acceptor's is revoked", revoking(good("a")), files(ours, bad), wire.RefusedTLSCertificate, wire.RefusedTLSCertificate, "was revoked"},
		{"the acceptor has no list", good("a"), none, "any", wire.RefusedTLSFiles, "crlx"},
		{"the dialler has no list", none, good("b"), wire.RefusedTLSFiles, "", "crlx"},
		{"both may come by their names", only(good("a"), []string{"b"}, nil), only(good("b"), nil, []string{"c", "a"}), "", "", ""},
		{"the dialler's is for another name", good("a"), only(good("b"), []string{"b"}, nil), wire.RefusedTLSCertificate, wire.RefusedTLSCertificate, "none of the common names"},
		{"the acceptor's is for another host", only(good("a"), nil, []string{"a"}), good("b"), wire.RefusedTLSCertificate, wire.RefusedTLSCertificate, "none of the names"},
		{"the acceptor's key is gone", good("a"), missing, "any", wire.RefusedTLSFiles, "missing-"},
	} {
		for _, kind := range []string{"memory", "TCP"} {
			t.Run(c.name+", "+kind, func(t *testing.T) {
				var from, to Network = TCP{}, TCP{}
				at := "127.0.0.1:0"
				if kind == "memory" {
					m := NewMemory()
					from, to, at = m.Node("a"), m.Node("b"), "b:1"
				}
				if c.dialler.Cert != "" {
					from = Secure(from, c.dialler)
				}
				if c.acceptor.Cert != "" {
					to = Secure(to, c.acceptor)
				}
				l, err := to.Listen(at)
				if err != nil {
					t.Fatal(err)
				}
				near, far := turnedTo{}, turnedTo{some: make(chan struct{}, 10)}
				acceptor := &node{id: 2, control: func(_ context.Context, _ wire.Hello, _ wire.Request) wire.Response {
					return wire.Response{Probe: &wire.ProbeReply{}}
				}}
				heard := false
				acceptor.check = func(wire.Hello, bool) *wire.Refusal { heard = true; return nil }
				tb := New(Config{Network: to, Listener: l, Handler: acceptor, Turned: far.note})
				tb.Start()
				ta := New(Config{Network: from, Handler: &node{id: 1}, Turned: near.note})
				_, _, err = ta.Call(t.Context(), l.Addr().String(), 0, wire.Request{Probe: &wire.Probe{}})
				if c.atOther != "" {
					far.wait() // closing it might come before it has read the last word
				}
				_ = tb.Close() // waits for the acceptor's side
				_ = ta.Close()
				if c.atDialler == "" {
					if err != nil || !heard {
						t.Fatal(err)
					}
					return
				}
				if err == nil || heard {
					t.Fatalf("they spoke: %v", err)
				}
				said := err.Error()
				var r *wire.Refusal
				if c.atDialler != "any" && (!errors.As(err, &r) || r.Code != c.atDialler || !near.find(func(x Turned) bool { return !x.Inbound && x.Refusal.Code == c.atDialler })) {
					t.Errorf("the dialler says %v, want %s", err, c.atDialler)
				}
				if c.atOther != "" && !far.find(func(x Turned) bool {
					said += x.Refusal.Reason
					return x.Inbound && x.Refusal.Code == c.atOther && x.Refusal.Code.WayOut("") != ""
				}) {
					t.Errorf("the acceptor says %+v, want %s", far.all, c.atOther)
				}
				if !strings.Contains(said, c.words) {
					t.Errorf("%q is not said: %s", c.words, said)
				}
			})
		}
	}
}

// With the authorities of the system, which sign for everybody, a certificate has
// to be for the host that is dialled: else whoever has one from them is a member.
func TestTLSOfTheSystemIsForTheHost(t *testing.T) {
	ca, m := testcert.New(t, "ca"), NewMemory()
	b, err := os.ReadFile(ca.File)
	if err != nil {
		t.Fatal(err)
	}
	f := files(ca, ca.Issue("b", -time.Hour, time.Hour))
	f.CA, f.System, f.roots = "", true, x509.NewCertPool()
	f.roots.AppendCertsFromPEM(b)
	for host, want := range map[string]wire.RefusalCode{"b": "", "c": wire.RefusedTLSCertificate} {
		l, err := Secure(m.Node(host), f).Listen(host + ":1")
		if err != nil {
			t.Fatal(err)
		}
		acceptor := New(Config{Network: m.Node(host), Listener: l, Handler: &node{id: 2, control: func(context.Context, wire.Hello, wire.Request) wire.Response {
			return wire.Response{Probe: &wire.ProbeReply{}}
		}}})
		acceptor.Start()
		dialler := New(Config{Network: Secure(m.Node("a"), f), Handler: &node{id: 1}})
		_, _, err = dialler.Call(t.Context(), host+":1", 0, wire.Request{Probe: &wire.Probe{}})
		_ = dialler.Close()
		_ = acceptor.Close()
		r, _ := errors.AsType[*wire.Refusal](err)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", host, err)
		case want != "" && (r == nil || r.Code != want || !strings.Contains(r.Reason, "valid for b, localhost, not c")):
			t.Errorf("%s: %v, want %s", host, err, want)
		}
	}
}

// A renewed certificate is used by the next connection; messages flow meanwhile
// on those that are open.
func TestTLSRenewed(t *testing.T) {
	ca := testcert.New(t, "ca")
	m := NewMemory()
	a, b := &node{id: 1}, &node{id: 2}
	mine := ca.Issue("a", -time.Hour, -time.Minute)
	fa := files(ca, mine)
	fb := files(ca, ca.Issue("b", -time.Hour, time.Hour))
	lb, err := Secure(m.Node("b"), fb).Listen("b:1")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan struct{}, 100)
	b.messages = func(wire.Hello, *wire.Batch) { got <- struct{}{} }
	tb := New(Config{Network: Secure(m.Node("b"), fb), Listener: lb, Handler: b})
	tb.Start()
	defer tb.Close()
	ta := New(Config{Network: Secure(m.Node("a"), fa), Handler: a})
	ta.Start()
	defer ta.Close()
	ta.SetPeers(map[cluster.NodeID]string{2: "b:1"})
	for refused := false; !refused; time.Sleep(time.Millisecond) {
		ps := ta.Peers()
		refused = ps[0].Refusal != nil && ps[0].Refusal.Code == wire.RefusedTLSExpired && !ps[0].OwnRefusal
	}
	ca.Renew(mine, "a", -time.Hour, time.Hour)
	ta.Send(2, numbered(1, 10))
	select {
	case <-got:
	case <-time.After(time.Minute):
		t.Fatalf("nothing comes: %+v", ta.Peers())
	}
}

// hungUpConn is a connection that takes nothing any more, and holds what the other
// side said before it hung up.
type hungUpConn struct {
	net.Conn
	said bytes.Buffer
}

func (c *hungUpConn) Write([]byte) (int, error) {
	return 0, &net.OpError{Op: "write", Err: syscall.EPIPE}
}
func (c *hungUpConn) Read(b []byte) (int, error) { return c.said.Read(b) }
func (c *hungUpConn) Close() error               { return nil }

func (c *hungUpConn) Listen(string) (net.Listener, error) { return nil, errors.ErrUnsupported }
func (c *hungUpConn) Dial(context.Context, string) (net.Conn, error) {
	return c, nil
}

// Who is turned away before it has said who it is hears why all the same.
func TestTurnedAwayBeforeTheGreeting(t *testing.T) {
	for _, refused := range []bool{true, false} {
		c := &hungUpConn{}
		if refused {
			if err := wire.WriteOpening(&c.said, wire.Hello{}, &wire.Refusal{Code: wire.RefusedTLSExpected}); err != nil {
				t.Fatal(err)
			}
		}
		tr := New(Config{Network: c, Handler: &node{id: 1}})
		_, _, err := tr.Call(t.Context(), "b:1", 0, wire.Request{Probe: &wire.Probe{}})
		r, ok := errors.AsType[*wire.Refusal](err)
		if err == nil || ok != refused || refused && r.Code != wire.RefusedTLSExpected || !refused && !strings.Contains(err.Error(), "hung up") {
			t.Errorf("refused %v: %v", refused, err)
		}
		_ = tr.Close()
	}
}
