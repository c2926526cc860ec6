package muster_test

import (
	"errors"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/internal/testcert"
	"github.com/musterhq/muster/mustertest"
)

// certified gives each member a certificate of one authority.
type certified struct {
	ca    *testcert.Authority
	pairs map[string]testcert.Pair
}

func newCertified(t *testing.T) *certified {
	return &certified{testcert.New(t, "ca"), map[string]testcert.Pair{}}
}

// issue has a member's certificate end after so long.
func (x *certified) issue(name string, life time.Duration) {
	x.pairs[name] = x.ca.Issue(name, -time.Minute, life)
}

// config is for mustertest.Options.
func (x *certified) config(name string, c *muster.Config) {
	if _, ok := x.pairs[name]; !ok {
		x.issue(name, 24*time.Hour)
	}
	p := x.pairs[name]
	c.PeerTLS = muster.PeerTLS{CertFile: p.Cert, KeyFile: p.Key, CAFile: x.ca.File}
}

// TestCertificateExpiresDuringJoin: a joiner's certificate expires after it was
// admitted and before it has caught up. What is open goes on; when it breaks, the
// join stalls, both sides say why and since when, and it goes on as soon as the
// file is renewed, with no restart.
func TestCertificateExpiresDuringJoin(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		certs := newCertified(t)
		c := formed(t, mustertest.Options{Config: func(name string, cfg *muster.Config) {
			certs.config(name, cfg)
			cfg.SnapshotLogBytes, cfg.SnapshotSendBytesPerSecond = 20<<10, 4<<10
		}})
		leader := c.Leader(ctx)
		fill(t, leader, "before", 100, 1000)
		certs.issue("n4", 15*time.Second)
		expires := time.Now().Add(15 * time.Second)
		c.Start("n4")
		n4 := c.Member("n4")
		c.Until(ctx, "n4 receives a snapshot", func() bool { return why(n4, "snapshot_receiving") })
		time.Sleep(time.Until(expires.Add(time.Second)))
		if !why(n4, "snapshot_receiving") {
			t.Fatalf("an open connection doesn't outlive the certificate: %+v", n4.Why())
		}
		c.Partition(c.Founders(), []string{"n4"})
		time.Sleep(20 * time.Second)
		c.Heal()
		since := expires.UTC().Format(time.RFC3339)
		c.Until(ctx, "n4 says that its own certificate has expired", func() bool {
			return why(n4, "tls_certificate_expired", "own certificate", since)
		})
		c.Until(ctx, "the leader says that n4's has", func() bool {
			return why(c.Leader(ctx), "tls_certificate_expired", "CN=n4", since)
		})
		time.Sleep(time.Minute)
		if s := n4.Status(); s.Applied != 0 {
			t.Fatalf("it has caught up without a certificate: applied %d", s.Applied)
		}
		certs.ca.Renew(certs.pairs["n4"], "n4", -time.Minute, 24*time.Hour)
		c.Ready(ctx, "n4")
		c.Until(ctx, "nobody speaks of certificates any more", func() bool {
			return !why(n4, "tls_certificate_expired") && !why(c.Leader(ctx), "tls_certificate_expired")
		})
		propose(t, n4, "after")
	})
}

// A node that speaks plain text doesn't get into a cluster that speaks TLS; both
// sides say so.
func TestPlainTextMeetsTLS(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		certs := newCertified(t)
		c := formed(t, mustertest.Options{Config: func(name string, cfg *muster.Config) {
			if name != "n4" {
				certs.config(name, cfg)
			}
		}})
		c.Start("n4")
		c.Until(ctx, "n4 says that the members speak TLS", func() bool { return why(c.Member("n4"), "tls_expected", "TLS") })
		c.Until(ctx, "a member says that somebody speaks plain text", func() bool { return why(c.Member("n1"), "tls_expected", "plain text") })
		if s := c.Member("n4").Status(); s.Stage != "blank" || len(c.Member("n1").Status().Members) != 3 {
			t.Fatalf("it got in: %+v", s)
		}
	})
}

// Files that can't be used are a fault of the configuration.
func TestPeerTLSFiles(t *testing.T) {
	ca := testcert.New(t, "ca")
	p := ca.Issue("a", -time.Minute, time.Hour)
	for name, tls := range map[string]muster.PeerTLS{
		"two of three":         {CertFile: p.Cert, KeyFile: p.Key},
		"none there":           {CertFile: "nowhere", KeyFile: p.Key, CAFile: ca.File},
		"no certificate":       {CertFile: p.Cert, KeyFile: p.Key, CAFile: p.Key},
		"files and none":       {CertFile: p.Cert, KeyFile: p.Key, CAFile: ca.File, Auto: true},
		"no list":              {CertFile: p.Cert, KeyFile: p.Key, CAFile: ca.File, CRLFile: "nowhere"},
		"a list of none":       {Auto: true, CRLFile: ca.File},
		"half for dialling":    {CertFile: p.Cert, KeyFile: p.Key, CAFile: ca.File, ClientCertFile: p.Cert},
		"none for dialling":    {CertFile: p.Cert, KeyFile: p.Key, CAFile: ca.File, ClientCertFile: "nowhere", ClientKeyFile: p.Key},
		"for dialling only":    {ClientCertFile: p.Cert, ClientKeyFile: p.Key},
		"system and authority": {CertFile: p.Cert, KeyFile: p.Key, CAFile: ca.File, SystemRoots: true},
		"system and nothing":   {SystemRoots: true},
		"system and their own": {SystemRoots: true, Auto: true},
		"names of none":        {AllowedCNs: []string{"a"}},
		"both kinds":           {CertFile: p.Cert, KeyFile: p.Key, CAFile: ca.File, AllowedCNs: []string{"a"}, AllowedHostnames: []string{"a"}},
		"key of another's":     {CertFile: p.Cert, KeyFile: ca.Issue("b", -time.Minute, time.Hour).Key, CAFile: ca.File},
	} {
		cfg := muster.Config{Name: "a", DataDir: t.TempDir(), PeerListen: "127.0.0.1:0", Single: true, PeerTLS: tls}
		if node, err := muster.Start(t.Context(), cfg, new(mustertest.Journal)); !errors.Is(err, muster.ErrConfig) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				_ = node.Close()
			}
		}
	}
}

// TestPeerAutoTLS: members that make their own certificates are a cluster; one
// that has files, and one without TLS, stay out, and all sides say why.
func TestPeerAutoTLS(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx, certs := t.Context(), newCertified(t)
		c := formed(t, mustertest.Options{Config: func(name string, cfg *muster.Config) {
			switch name {
			case "n4":
				certs.config(name, cfg)
			case "n5":
			default:
				cfg.PeerTLS.Auto = true
			}
		}})
		propose(t, c.Leader(ctx), "a")
		c.Start("n4")
		c.Until(ctx, "one with files says so", func() bool { return why(c.Member("n4"), "tls_unknown_authority", "O=muster") })
		c.Start("n5")
		c.Until(ctx, "one without TLS says so", func() bool { return why(c.Member("n5"), "tls_expected", "TLS") })
		c.Until(ctx, "a member says so", func() bool { return why(c.Member("n1"), "tls_expected", "plain text") })
		if s := c.Member("n1").Status(); len(s.Members) != 3 {
			t.Fatalf("it got in: %+v", s)
		}
	})
}
