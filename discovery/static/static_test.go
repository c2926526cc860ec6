package static_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/musterhq/muster/discovery/discoverytest"
	"github.com/musterhq/muster/discovery/static"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	discoverytest.TestInBubble(t, func(*testing.T) discoverytest.Subject {
		return discoverytest.Subject{
			Provider: &static.Provider{Addrs: []string{"b:2380", "a:2380", "b:2380", "[::1]:2380"}},
			Want:     []string{"a:2380", "b:2380", "[::1]:2380"},
		}
	})
}

func TestContractOfNone(t *testing.T) {
	discoverytest.TestInBubble(t, func(*testing.T) discoverytest.Subject {
		return discoverytest.Subject{Provider: &static.Provider{}}
	})
}

// What is no address is told; the others are used.
func TestMalformed(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var good []string
	(&static.Provider{Addrs: []string{"a:2380", "b", "0.0.0.0:2380", "c:0"}}).Find(ctx, "a:2380", func(addrs []string, err error) {
		if err == nil {
			good = addrs
			return
		}
		for _, bad := range []string{`"b"`, `"0.0.0.0:2380"`, `"c:0"`} {
			if !strings.Contains(err.Error(), bad) {
				t.Errorf("%q doesn't name %s", err, bad)
			}
		}
		cancel()
	})
	if !slices.Equal(good, []string{"a:2380"}) {
		t.Errorf("found %v", good)
	}
}

func Example() {
	p := &static.Provider{Addrs: []string{"10.0.0.1:2380", "10.0.0.2:2380"}}
	ctx, cancel := context.WithCancel(context.Background())
	p.Find(ctx, "10.0.0.1:2380", func(addrs []string, err error) {
		fmt.Println(addrs, err)
		cancel()
	})
	// Output: [10.0.0.1:2380 10.0.0.2:2380] <nil>
}
