package spec_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/musterhq/muster/discovery/spec"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"dns:muster.default.svc":       "dns muster.default.svc:2380",
		"dns:muster.default.svc:99":    "dns muster.default.svc:99",
		"dns:muster.default.svc.:2380": "dns muster.default.svc.:2380",
		"srv:muster.default.svc":       "srv _muster-peer._tcp.muster.default.svc",
		"srv:_raft._tcp.example.org":   "srv _raft._tcp.example.org",
		"file:/etc/muster/peers":       "file /etc/muster/peers",
		"file:C:\\muster\\peers":       "file C:\\muster\\peers",
		"multicast":                    `multicast _muster._tcp, cluster "shop"`,
	} {
		p, err := spec.Parse(in, "shop")
		if err != nil || p.String() != want {
			t.Errorf("%q is %v, %v; want %s", in, p, err, want)
		}
	}
}

// TestErrors: each names the spec and the fault, and lists the forms.
func TestErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                  `there is no ""`,
		"consul:x":          `there is no "consul"`,
		"a:2380":            `there is no "a"`,
		"dns":               "nothing follows dns:",
		"dns:":              "nothing follows dns:",
		"dns::2380":         "there is no name",
		"dns:x:":            `port "" is not`,
		"dns:x:0":           `port "0" is not`,
		"dns:x:99999":       `port "99999" is not`,
		"dns:x:y:1":         `port "y:1" is not`,
		"dns:10.0.0.1:2380": "is an address",
		"dns:x/y":           `"x/y" is no domain name`,
		"srv:":              "nothing follows srv:",
		"srv:x:2380":        `"x:2380" is no domain name`,
		"file:":             "nothing follows file:",
		"multicast:eth0":    "stands alone",
	} {
		_, err := spec.Parse(in, "shop")
		if err == nil {
			t.Errorf("%q was taken", in)
			continue
		}
		text := err.Error()
		if !strings.Contains(text, fmt.Sprintf("%q", in)) || !strings.Contains(text, want) || !strings.Contains(text, "srv:NAME ") {
			t.Errorf("%q: %s", in, text)
		}
	}
	if _, err := spec.Parse("multicast", ""); err == nil || !strings.Contains(err.Error(), "name of the cluster") {
		t.Errorf("multicast without a cluster: %v", err)
	}
}

func ExampleParse() {
	p, err := spec.Parse("dns:muster.default.svc", "shop")
	fmt.Println(p, err)
	_, err = spec.Parse("dsn:muster.default.svc", "shop")
	fmt.Println(err)
	// Output:
	// dns muster.default.svc:2380 <nil>
	// discovery "dsn:muster.default.svc": there is no "dsn"; the forms are
	//   dns:NAME[:PORT]  the addresses of a name (A, AAAA), all with one port, by default 2380
	//   srv:NAME         what the SRV records of _muster-peer._tcp.NAME list, or those of NAME if it begins with _
	//   file:PATH        a file with one host:port a line, read again when it changes
	//   multicast        nodes of this cluster on the local network, by multicast DNS
}
