package multicast_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
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

// TestLAN: two machines with a cable between them that is plugged in late. On
// the first runs another node, which is on loopback: the first finds it, and
// the second does not.
func TestLAN(t *testing.T) {
	if !again(t) {
		return
	}
	const first, second, local = "10.77.0.1:2380", "10.77.0.2:2380", "127.0.0.1:9"
	if os.Getenv(roleVariable) == "second" {
		machine(t.Context(), t, second, []string{first}, func() {
			for { // the first plugs it in
				if _, err := net.InterfaceByName("eth0"); err == nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
		if t.Failed() {
			return
		}
		fmt.Println(contented)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _ = io.Copy(io.Discard, os.Stdin); cancel() }()
		stay(ctx, second)
		return
	}
	cmd := inNamespace("second", "TestLAN")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	// content ends when the second has found what it should, failed when it can't any more.
	content, isContent := context.WithCancel(t.Context())
	failed, fail := context.WithCancel(t.Context())
	var words strings.Builder
	read := make(chan bool)
	go func() {
		defer close(read)
		for sc := bufio.NewScanner(out); sc.Scan(); {
			fmt.Fprintln(&words, sc.Text())
			if sc.Text() == contented {
				isContent()
			}
		}
		isContent()
		fail()
	}()
	neighbour(t, "lan", local)
	machine(failed, t, first, []string{second, local}, func() {
		ip(t, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(cmd.Process.Pid))
	})
	stay(content, first)
	_ = in.Close() // tells it to end
	<-read
	if err := cmd.Wait(); err != nil {
		t.Errorf("the second machine: %v\n%s", err, words.String())
	}
}

// contented is what the second machine prints when it has found the first.
const contented = "found all of it"

// stay announces itself until ctx ends.
func stay(ctx context.Context, self string) {
	(&multicast.Provider{Cluster: "lan", Pace: quick}).Find(ctx, self, func([]string, error) {})
}

// machine has loopback alone at first, then also an interface with an address.
// It is done when it has found what is wanted, all of it and nothing else, in
// several looks: one that is wrong may be heard late.
func machine(ctx context.Context, t *testing.T, self string, want []string, plug func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, discoverytest.Patience)
	defer cancel()
	ip(t, "link", "set", "lo", "up")
	plugged, good := false, 0
	p := &multicast.Provider{Cluster: "lan", Pace: quick}
	p.Find(ctx, self, func(addrs []string, err error) {
		if !plugged {
			plugged = true
			plug()
			host, _, _ := net.SplitHostPort(self)
			ip(t, "addr", "add", host+"/24", "dev", "eth0")
			ip(t, "link", "set", "eth0", "up")
			return
		}
		for _, a := range addrs {
			if !slices.Contains(want, a) {
				t.Errorf("%s found %s", self, a)
				cancel()
			}
		}
		if len(addrs) == len(want) {
			good++
		}
		if good == 5 {
			cancel()
		}
	})
	if ctx.Err() == context.DeadlineExceeded {
		t.Errorf("%s did not find %v", self, want)
	}
}
