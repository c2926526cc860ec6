package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/musterhq/muster/internal/loopback"
	"github.com/musterhq/muster/internal/testproc"
)

// member is the process; it runs or not.
type member struct {
	testproc.Process
	ports loopback.Ports
	addrs []string
}

// soon is how long the client waits before it tries a closed port again; of itself
// it waits for a second, and every start would seem to take one.
var soon = backoff.Config{BaseDelay: 5 * time.Millisecond, Multiplier: 1, MaxDelay: 5 * time.Millisecond}

// serve starts it and returns when it has answered a linearizable read.
func (b *bench) serve(ctx context.Context) (string, error) {
	if b.addrs == nil {
		addrs, err := b.ports.ReserveAny(2)
		if err != nil {
			return "", err
		}
		b.addrs = addrs
	}
	b.Log = b.dir + ".log"
	err := b.Start(b.muster, "serve", "--single", "--name=m", "--data-dir="+b.dir,
		"--listen="+b.addrs[0], "--peer-listen="+b.addrs[1], fmt.Sprintf("--cache-bytes=%d", b.cacheBytes))
	if err != nil {
		return "", err
	}
	b.client, err = clientv3.New(clientv3.Config{
		Endpoints: b.addrs[:1], Logger: zap.NewNop(), BackoffWaitBetween: 10 * time.Millisecond, DialTimeout: time.Minute,
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{Backoff: soon, MinConnectTimeout: time.Minute})},
	})
	if err != nil {
		return "", err
	}
	var rate string
	err = testproc.Await(ctx, func() error {
		got, err := b.client.Get(ctx, key(0))
		if err == nil {
			rate = fmt.Sprintf("rev %d", got.Header.Revision)
		}
		return err
	}, &b.Process)
	return rate, err
}

func (b *bench) stop(context.Context) (string, error) {
	_ = b.client.Close()
	return "", b.Stop(b.limit)
}

// kill leaves nothing behind.
func (b *bench) kill() {
	b.Kill()
	b.ports.Release()
}

// resetPeak has the kernel forget the peak of the process's memory.
func (b *bench) resetPeak() {
	if b.Running() {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", b.PID()), []byte("5"), 0)
	}
}

// peak is the most memory (resident, MiB) that it had since.
func (b *bench) peak() string {
	if !b.Running() {
		return "-"
	}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.PID()))
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.Atoi(strings.Fields(rest)[0])
			return strconv.Itoa(kib >> 10)
		}
	}
	return "?"
}

// diskUse is what the files below dir take, in bytes; hard links count once.
func diskUse(dir string) (sum int64) {
	seen := map[uint64]bool{}
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // gone meanwhile
		}
		if info, err := d.Info(); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok && !seen[st.Ino] {
				seen[st.Ino] = true
				sum += st.Blocks * 512
			}
		}
		return nil
	})
	return sum
}
