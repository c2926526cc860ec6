package discoverytest

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/musterhq/muster/discovery"
)

// provider is one made of a function.
type provider func(ctx context.Context, report func([]string, error))

func (f provider) Find(ctx context.Context, _ string, report func([]string, error)) { f(ctx, report) }
func (f provider) String() string                                                   { return "test" }

// faulty break the contract, each in one way; with what Test says of it.
var faulty = map[string]struct {
	says string
	find provider
}{
	"stays": {"has not returned", func(ctx context.Context, report func([]string, error)) {
		report([]string{"a:1"}, nil)
		time.Sleep(2 * Patience)
	}},
	"ends early": {"before its context ended", func(ctx context.Context, report func([]string, error)) {
		report(nil, nil)
	}},
	"leaks": {"goroutines are left", func(ctx context.Context, report func([]string, error)) {
		go time.Sleep(time.Hour)
		report([]string{"a:1"}, nil)
		<-ctx.Done()
	}},
	"late": {"after Find had returned", func(ctx context.Context, report func([]string, error)) {
		report([]string{"a:1"}, nil)
		<-ctx.Done()
		go report([]string{"a:1"}, nil)
	}},
	"twice": {"has \"a:1\" twice", func(ctx context.Context, report func([]string, error)) {
		report([]string{"a:1", "a:1"}, nil)
		<-ctx.Done()
	}},
	"no port": {"not host:port", func(ctx context.Context, report func([]string, error)) {
		report([]string{"a:1", "a"}, nil)
		<-ctx.Done()
	}},
	"both": {"belong into a call before", func(ctx context.Context, report func([]string, error)) {
		report([]string{"a:1"}, context.DeadlineExceeded)
		report([]string{"a:1"}, nil)
		<-ctx.Done()
	}},
	"not found": {"not within", func(ctx context.Context, report func([]string, error)) {
		report([]string{"b:1"}, nil)
		<-ctx.Done()
	}},
	"two at once": {"another call of it ran", func(ctx context.Context, report func([]string, error)) {
		done := make(chan bool)
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				report([]string{"a:1"}, nil)
			}
		}()
		for ctx.Err() == nil {
			report([]string{"a:1"}, nil)
		}
		<-done
	}},
}

const faultVariable = "DISCOVERYTEST_FAULT"

// TestFaulty is run by TestFinds as a process of its own: it has to fail.
func TestFaulty(t *testing.T) {
	fault, ok := faulty[os.Getenv(faultVariable)]
	if !ok {
		t.Skip("it is for TestSeesFaults")
	}
	setup := func(*testing.T) Subject { return Subject{Provider: fault.find, Want: []string{"a:1"}} }
	if os.Getenv(faultVariable) == "two at once" {
		Test(t, setup)
		return
	}
	TestInBubble(t, setup)
}

// TestSeesFaults: what breaks the contract fails the test, with the reason.
func TestSeesFaults(t *testing.T) {
	for name, fault := range faulty {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run=^TestFaulty$")
			cmd.Env = append(os.Environ(), faultVariable+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("nothing was noticed\n%s", out)
			}
			if !strings.Contains(string(out), fault.says) {
				t.Fatalf("it doesn't say %q:\n%s", fault.says, out)
			}
		})
	}
}

// TestGood: one that keeps the contract passes.
func TestGood(t *testing.T) {
	TestInBubble(t, func(t *testing.T) Subject {
		var broken atomic.Bool
		good := provider(func(ctx context.Context, report func([]string, error)) {
			for ctx.Err() == nil {
				if broken.Load() {
					report(nil, context.DeadlineExceeded)
				} else {
					report([]string{"a:1"}, nil)
				}
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
		})
		return Subject{Provider: good, Want: []string{"a:1"}, Break: func() { broken.Store(true) }, Mend: func() { broken.Store(false) }}
	})
}

var _ discovery.Provider = provider(nil)
