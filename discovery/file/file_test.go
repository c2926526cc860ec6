package file_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/musterhq/muster/discovery/discoverytest"
	"github.com/musterhq/muster/discovery/file"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestContract(t *testing.T) {
	discoverytest.TestInBubble(t, func(t *testing.T) discoverytest.Subject {
		path := filepath.Join(t.TempDir(), "peers")
		write(t, path, "# ours\na:2380\n\n  b:2380 # the second\r\na:2380\n")
		return discoverytest.Subject{
			Provider: &file.Provider{Path: path},
			Want:     []string{"a:2380", "b:2380"},
			Break:    func() { must(t, os.Rename(path, path+".away")) },
			Mend:     func() { must(t, os.Rename(path+".away", path)) },
		}
	})
}

// watch runs a provider in a bubble; what it has reported since the last call
// is returned by the function, which lets some seconds pass before.
func watch(t *testing.T, path string) func() []string {
	var mu sync.Mutex
	var got []string
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&file.Provider{Path: path}).Find(ctx, "a:2380", func(addrs []string, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				got = append(got, "error: "+err.Error())
				return
			}
			got = append(got, strings.Join(addrs, " "))
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return func() []string {
		time.Sleep(5 * time.Second)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		defer func() { got = nil }()
		return got
	}
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		if rest, isErr := strings.CutPrefix(want[i], "error: "); isErr {
			ok = ok && strings.HasPrefix(got[i], "error: ") && strings.Contains(got[i], rest)
			continue
		}
		ok = ok && got[i] == want[i]
	}
	if !ok {
		t.Errorf("%s: reported %q, want %q", what, got, want)
	}
}

// TestChanges: it sees a change however it is made, and says nothing without one.
func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "peers")
		seen := watch(t, path)
		expect(t, "there is none", seen(), "error: no such file")
		expect(t, "and still none", seen())
		write(t, path, "a:1\n")
		expect(t, "written", seen(), "a:1")
		expect(t, "not changed", seen())
		write(t, path, "a:1\n# the same peers\n")
		expect(t, "changed to the same", seen())

		info, err := os.Stat(path)
		must(t, err)
		write(t, path, "b:1\n# the same peers\n")
		must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
		expect(t, "same size and time", seen(), "b:1")

		write(t, path+".new", "c:1")
		must(t, os.Rename(path+".new", path))
		expect(t, "replaced by a rename", seen(), "c:1")
		must(t, os.Remove(path))
		expect(t, "removed", seen(), "error: no such file")
		must(t, os.Mkdir(path, 0o755))
		expect(t, "a directory", seen(), "error: "+path+" is not a regular file")
		must(t, os.Remove(path))
		write(t, path, "")
		expect(t, "empty", seen(), "")
		write(t, path, strings.Repeat("#\n", 1<<20))
		expect(t, "far too large", seen(), "error: has more than")
		write(t, path, "\ufeffd:1\r\n")
		expect(t, "from another editor", seen(), "d:1")
	})
}

// TestConfigMap: Kubernetes swaps a link to a directory in which the file is.
func TestConfigMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		for i, text := range []string{"a:1\n", "b:1\n"} {
			must(t, os.Mkdir(filepath.Join(dir, fmt.Sprint("v", i)), 0o755))
			write(t, filepath.Join(dir, fmt.Sprint("v", i), "peers"), text)
		}
		must(t, os.Symlink("v0", filepath.Join(dir, "..data")))
		must(t, os.Symlink(filepath.Join("..data", "peers"), filepath.Join(dir, "peers")))
		seen := watch(t, filepath.Join(dir, "peers"))
		expect(t, "first", seen(), "a:1")
		must(t, os.Symlink("v1", filepath.Join(dir, "..data_tmp")))
		must(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
		must(t, os.RemoveAll(filepath.Join(dir, "v0")))
		expect(t, "swapped", seen(), "b:1")
	})
}

// TestMalformed: each bad line is named, the good ones are used.
func TestMalformed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "peers")
		write(t, path, "a:1\nb\n\nc:1 d:1\n0.0.0.0:1\ne:1")
		seen := watch(t, path)
		got := seen()
		expect(t, "some lines are good", got, "a:1 e:1", "error: "+path+":2: \"b\" is not host:port")
		for _, line := range []string{":4: ", ":5: "} {
			if !strings.Contains(strings.Join(got, "\n"), path+line) {
				t.Errorf("%q doesn't name the line %s", got, line)
			}
		}
		write(t, path, "a:1\ne:1\n")
		expect(t, "mended", seen(), "a:1 e:1")
	})
}

// TestUnreadable: what can't be read now is read later.
func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		// Root reads all files; a loop of links nobody can follow.
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "peers")
			must(t, os.Symlink("peers", path))
			seen := watch(t, path)
			expect(t, "a loop", seen(), "error: peers")
			must(t, os.Remove(path))
			write(t, path, "a:1")
			expect(t, "mended", seen(), "a:1")
		})
		return
	}
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "peers")
		write(t, path, "a:1")
		must(t, os.Chmod(path, 0))
		seen := watch(t, path)
		expect(t, "not allowed", seen(), "error: permission denied")
		must(t, os.Chmod(path, 0o644))
		expect(t, "allowed", seen(), "a:1")
	})
}

func Example() {
	path := filepath.Join(os.TempDir(), fmt.Sprint("muster-peers-", os.Getpid()))
	defer os.Remove(path)
	_ = os.WriteFile(path, []byte("10.0.0.1:2380  # rack 1\n10.0.0.2:2380\n"), 0o644)

	p := &file.Provider{Path: path}
	ctx, cancel := context.WithCancel(context.Background())
	p.Find(ctx, "10.0.0.1:2380", func(addrs []string, err error) {
		fmt.Println(addrs, err)
		cancel()
	})
	// Output: [10.0.0.1:2380 10.0.0.2:2380] <nil>
}
