package process

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/testcert"
)

// certify gives a member the flags of a certificate.
func (m *member) certify(ca *testcert.Authority) testcert.Pair {
	p := ca.Issue(m.name, -time.Hour, time.Hour)
	m.args = append(m.args[:len(m.args):len(m.args)], "--peer-tls-cert", p.Cert, "--peer-tls-key", p.Key, "--peer-tls-ca", ca.File)
	return p
}

// Members that speak TLS let a fourth one in, whose certificate has expired
// before it has caught up. Both sides say so; with a new file it goes on, with
// no restart. One of a foreign authority, and one without TLS, stay out.
func TestCertificateExpiresDuringJoin(t *testing.T) {
	t.Parallel()
	ca, foreign := testcert.New(t, "ca"), testcert.New(t, "foreign")
	ms := founders(t, 3)
	for _, m := range ms {
		m.certify(ca)
		m.start()
	}
	ready(t, ms...)
	l := leader(t, ms)
	c := dial(t, l)
	put(t, c, "a", "1")

	n4 := newMember(t, "n4", "--join-only", "--seeds", ms[0].peer)
	p := n4.certify(ca)
	n4.start()
	eventually(t, "it was admitted", func() bool { s, err := l.status(); return err == nil && len(s.Members) == 4 })
	n4.Kill()
	ca.Renew(p, "n4", -2*time.Hour, -time.Hour)
	expired := time.Now().Add(-time.Hour).UTC().Format("2006-01-02T15:")
	for i := range 20 {
		put(t, c, fmt.Sprint("k", i), "v")
	}
	n4.start()
	says := func(m *member, words string) func() bool {
		return func() bool {
			why := m.why()
			return strings.Contains(why, "tls_certificate_expired") && strings.Contains(why, words) && strings.Contains(why, "expired at "+expired)
		}
	}
	eventually(t, "it says that its certificate has expired", says(n4, "own certificate"))
	eventually(t, "the leader says so, too", says(l, "CN=n4"))
	if s, err := n4.status(); err != nil || s.Leader != 0 {
		t.Fatalf("it is heard: %+v, %v", s, err)
	}
	ca.Renew(p, "n4", -time.Hour, time.Hour)
	ready(t, n4)
	same(t, l, n4)

	n5 := newMember(t, "n5", "--join-only", "--seeds", l.peer)
	n5.certify(foreign)
	n5.args[len(n5.args)-1] = ca.File
	n5.start()
	eventually(t, "one of a foreign authority says so", func() bool { return strings.Contains(n5.why(), "tls_unknown_authority") })
	eventually(t, "so does the member", func() bool { return strings.Contains(l.why(), "CN=foreign") })
	n6 := newMember(t, "n6", "--join-only", "--seeds", l.peer)
	n6.start()
	eventually(t, "one without TLS says so", func() bool { return strings.Contains(n6.why(), "tls_expected") })
	eventually(t, "so does the member", func() bool { return strings.Contains(l.why(), "tls_expected") })
	if s, err := l.status(); err != nil || len(s.Members) != 4 {
		t.Fatalf("members %+v, %v", s.Members, err)
	}
	if out, code := muster(t, "serve", "--data-dir", t.TempDir(), "--single", "--peer-tls-cert", p.Cert); code != 2 || !strings.Contains(out, "all three") {
		t.Errorf("one file of three: exit %d\n%s", code, out)
	}
}
