package multicast_test

import (
	"context"
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/musterhq/muster/discovery/discoverytest"
	"github.com/musterhq/muster/discovery/multicast"
)

// What these tests need is a network of their own. They run the test binary
// again in a new network namespace, with this variable set.
const roleVariable = "MULTICAST_TEST_ROLE"

func needRoot(t *testing.T, programs ...string) {
	t.Helper()
	give := t.Skipf
	if os.Getenv("MUSTER_REQUIRE_ROOT_TESTS") != "" {
		give = t.Fatalf
	}
	if os.Geteuid() != 0 {
		give("needs root (run as root to have it tested)")
	}
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			give("needs the program %s: %v", p, err)
		}
	}
}

// inNamespace is this test binary, to run one test in a namespace of its own.
func inNamespace(role, test string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.v")
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	return cmd
}

// again runs the calling test in a namespace, and says whether this is that run.
func again(t *testing.T) bool {
	t.Helper()
	if os.Getenv(roleVariable) != "" {
		return true
	}
	needRoot(t, "ip")
	if out, err := inNamespace("first", t.Name()).CombinedOutput(); err != nil {
		t.Errorf("in a network namespace: %v\n%s", err, out)
	}
	return false
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %v: %v\n%s", args, err, out)
	}
}

// TestContractWithoutNetwork: while no interface is up it says so, and when
// one comes it goes on.
func TestContractWithoutNetwork(t *testing.T) {
	if !again(t) {
		return
	}
	discoverytest.Test(t, func(t *testing.T) discoverytest.Subject {
		ip(t, "link", "set", "lo", "up")
		cluster := rand.Text()
		neighbour(t, cluster, "127.0.0.1:2381")
		return discoverytest.Subject{
			Provider: &multicast.Provider{Cluster: cluster, Pace: quick, Listen: 300 * time.Millisecond},
			Want:     []string{"127.0.0.1:2381"},
			Break:    func() { ip(t, "link", "set", "lo", "down") },
			Mend:     func() { ip(t, "link", "set", "lo", "up") },
		}
	})
}

// TestNoNetwork: the error of a machine without one has a way out.
func TestNoNetwork(t *testing.T) {
	if !again(t) {
		return
	}
	text := firstError(t, &multicast.Provider{Cluster: "x"}, "10.0.0.1:1")
	if !strings.Contains(text, "none of the network interfaces") || !strings.Contains(text, "find peers another way") {
		t.Errorf("it says %q", text)
	}
}

// TestLoopbackElsewhere: an address of loopback is not for other machines.
func TestLoopbackElsewhere(t *testing.T) {
	if !again(t) {
		return
	}
	ip(t, "link", "set", "lo", "up")
	ip(t, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
	ip(t, "addr", "add", "10.77.0.1/24", "dev", "eth0")
	ip(t, "link", "set", "eth0", "up")
	text := firstError(t, &multicast.Provider{Cluster: "x", Interfaces: []string{"eth0"}}, "127.0.0.1:1")
	if !strings.Contains(text, "this machine's alone") || !strings.Contains(text, "--peer-advertise") {
		t.Errorf("it says %q", text)
	}
}

// TestLAN: two machines with a cable between them that is plugged in late.
// Neither takes the other's loopback for its own.
func TestLAN(t *testing.T) {
	if !again(t) {
		return
	}
	const first, second = "10.77.0.1", "10.77.0.2"
	if os.Getenv(roleVariable) == "second" {
		machine(t, second, first, func() {
			for { // the first plugs it in
				if _, err := net.InterfaceByName("eth0"); err == nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
		return
	}
	cmd := inNamespace("second", "TestLAN")
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait(); cancel() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	machine(t, first, second, func() {
		ip(t, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(cmd.Process.Pid))
	})
	stay(ctx, first) // until the second has found it
	if err := <-ended; err != nil {
		t.Errorf("the second machine: %v\n%s", err, out)
	}
}

// machine has loopback alone at first, then also an interface with an address.
// It is done when it has found the other, and only that.
func machine(t *testing.T, self, other string, plug func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), discoverytest.Patience)
	defer cancel()
	ip(t, "link", "set", "lo", "up")
	plugged := false
	p := &multicast.Provider{Cluster: "lan", Pace: quick}
	p.Find(ctx, self+":2380", func(addrs []string, err error) {
		switch {
		case !plugged:
			plugged = true
			plug()
			ip(t, "addr", "add", self+"/24", "dev", "eth0")
			ip(t, "link", "set", "eth0", "up")
		case len(addrs) > 0 && !slices.Equal(addrs, []string{other + ":2380"}):
			t.Errorf("%s found %v", self, addrs)
			cancel()
		case len(addrs) > 0:
			cancel()
		}
	})
	if ctx.Err() == context.DeadlineExceeded {
		t.Errorf("%s did not find %s", self, other)
	}
}

// stay announces itself until ctx ends.
func stay(ctx context.Context, self string) {
	(&multicast.Provider{Cluster: "lan", Pace: quick}).Find(ctx, self+":2380", func([]string, error) {})
}
