package main

import (
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/testcert"
	"github.com/musterhq/muster/internal/wire"
	"github.com/musterhq/muster/mustertest"
	"github.com/musterhq/muster/server"
)

// Screens of clocks, certificates, tokens, and of a cluster that was re-formed.

// letIn has a stranger join.
func letIn(t *testing.T, c *mustertest.Cluster, s *stranger) {
	t.Helper()
	c.Until(t.Context(), s.self.Name+" is let in", func() bool {
		join := wire.Request{Join: &wire.Join{Self: s.self, Cluster: "muster"}}
		resp, _, err := s.tr.Call(t.Context(), mustertest.Addr("n1"), 0, join)
		return err == nil && resp.Join != nil && resp.Join.Status == wire.JoinDone
	})
}

// clockSkew: n4 is no more than a clock, three seconds ahead.
func clockSkew(t *testing.T) server.WhyAnswer {
	c := led(t, mustertest.Options{})
	id := c.Member("n1").Status().ClusterID
	s := newStranger(t, c, "n4", func(h *wire.Hello) {
		h.ClusterID, h.Stage, h.Now = id, wire.InCluster, time.Now().Add(3*time.Second).UnixMilli()
	})
	letIn(t, c, s)
	about := func(r event.Reason) bool { return r.Code == "clock_skew" }
	var a server.WhyAnswer
	c.Until(t.Context(), "all three say so", func() bool {
		a = only(ask(t, c.Member("n1")), about)
		return len(a.Reasons) == 1 && len(a.Survey.Members) == 2 && len(a.Survey.Members[0].Reasons) == 1 && len(a.Survey.Members[1].Reasons) == 1
	})
	return a
}

// certified gives all members certificates, but those that have none.
func certified(t *testing.T, life map[string]time.Duration) mustertest.Options {
	ca := testcert.New(t, "ca")
	pairs := map[string]testcert.Pair{}
	return mustertest.Options{Config: func(name string, c *muster.Config) {
		p, ok := pairs[name]
		if !ok {
			d, told := life[name]
			if !told {
				d = 24 * time.Hour
			}
			if d > 0 {
				p = ca.Issue(name, -time.Minute, d)
			}
			pairs[name] = p
		}
		if p.Cert != "" {
			c.PeerTLS = muster.PeerTLS{CertFile: p.Cert, KeyFile: p.Key, CAFile: ca.File}
		}
	}}
}

// oneExpired: the certificate of n3 has expired, and then it is started again.
func oneExpired(t *testing.T) *mustertest.Cluster {
	c := led(t, certified(t, map[string]time.Duration{"n3": time.Minute}))
	c.Crash("n3")
	time.Sleep(2 * time.Minute)
	c.Start("n3")
	time.Sleep(10 * time.Second)
	return c
}

func tlsExpiredOwn(t *testing.T) server.WhyAnswer {
	return askFor(t, oneExpired(t), "n3", "tls_certificate_expired")
}

func tlsExpired(t *testing.T) server.WhyAnswer {
	return askFor(t, oneExpired(t), "n1", "tls_certificate_expired")
}

// onePlain: n4 comes without certificates.
func onePlain(t *testing.T) *mustertest.Cluster {
	c := led(t, certified(t, map[string]time.Duration{"n4": 0}))
	c.Start("n4")
	time.Sleep(10 * time.Second)
	return c
}

func tlsExpectedPlain(t *testing.T) server.WhyAnswer {
	return askFor(t, onePlain(t), "n4", "tls_expected")
}

func tlsExpected(t *testing.T) server.WhyAnswer {
	return askFor(t, onePlain(t), "n1", "tls_expected")
}

// noToken: n4 comes without the cluster's token.
func noToken(t *testing.T) *mustertest.Cluster {
	c := led(t, mustertest.Options{Config: func(name string, c *muster.Config) {
		if name != "n4" {
			c.JoinToken = "the token of this cluster"
		}
	}})
	c.Start("n4")
	time.Sleep(10 * time.Second)
	return c
}

func tokenMissing(t *testing.T) server.WhyAnswer {
	a := ask(t, noToken(t).Member("n4"))
	return a
}

func tokenRefused(t *testing.T) server.WhyAnswer {
	return askFor(t, noToken(t), "n1", "peer_refused")
}

// reformed is a cluster that was re-formed around n1; n2 comes back as it was.
func reformed(t *testing.T) *mustertest.Cluster {
	c := led(t, mustertest.Options{})
	c.Stop(t.Context())
	if _, err := muster.ForceNew(c.Dir("n1"), muster.ForceNewOptions{Cluster: "muster"}); err != nil {
		t.Fatal(err)
	}
	c.Start("n1")
	c.Ready(t.Context(), "n1")
	c.Start("n2")
	<-c.Member("n2").Done()
	return c
}

func oldGeneration(t *testing.T) server.WhyAnswer {
	return ask(t, reformed(t).Member("n2"))
}

func oldGenerationKnocks(t *testing.T) server.WhyAnswer {
	return askFor(t, reformed(t), "n1", "peer_refused")
}
