package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/musterhq/muster/internal/loopback"
)

// member is the process, if it runs.
type member struct {
	cmd   *exec.Cmd
	done  chan struct{} // closed when it has ended
	ports loopback.Ports
	addrs []string
}

// serve starts it and returns when it has answered a linearizable read.
func (b *bench) serve(ctx context.Context) (string, error) {
	if b.addrs == nil {
		addrs, err := b.ports.ReserveAny(2)
		if err != nil {
			return "", err
		}
		b.addrs = addrs
	}
	log, err := os.OpenFile(b.dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return "", err
	}
	defer func() { _ = log.Close() }() // the child has its own copy
	b.cmd = exec.Command(b.muster, "serve", "--single", "--name=m", "--data-dir="+b.dir,
		"--listen="+b.addrs[0], "--peer-listen="+b.addrs[1], fmt.Sprintf("--cache-bytes=%d", b.cacheBytes))
	b.cmd.Stdout, b.cmd.Stderr = log, log
	if err := b.cmd.Start(); err != nil {
		return "", err
	}
	b.done = make(chan struct{})
	go func() {
		_ = b.cmd.Wait() // how it ended is in its log
		close(b.done)
	}()
	b.client, err = clientv3.New(clientv3.Config{
		Endpoints: b.addrs[:1], Logger: zap.NewNop(), BackoffWaitBetween: 10 * time.Millisecond, DialTimeout: time.Minute,
	})
	if err != nil {
		return "", err
	}
	for {
		got, err := b.client.Get(ctx, key(0))
		if err == nil {
			return fmt.Sprintf("rev %d", got.Header.Revision), nil
		}
		select {
		case <-b.done:
			return "", fmt.Errorf("the member ended by itself; see %s.log", b.dir)
		case <-ctx.Done():
			return "", err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (b *bench) stop(context.Context) (string, error) { return "", b.end(syscall.SIGTERM) }

func (b *bench) end(sig os.Signal) error {
	_ = b.client.Close()
	if err := b.cmd.Process.Signal(sig); err != nil {
		return err
	}
	<-b.done
	b.cmd = nil
	return nil
}

// kill leaves nothing behind.
func (b *bench) kill() {
	if b.cmd != nil {
		_ = b.end(syscall.SIGKILL)
	}
	b.ports.Release()
}

// resetPeak has the kernel forget the peak of the process's memory.
func (b *bench) resetPeak() {
	if b.cmd != nil {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", b.cmd.Process.Pid), []byte("5"), 0)
	}
}

// peak is the most memory (resident, MiB) that it had since.
func (b *bench) peak() string {
	if b.cmd == nil {
		return "-"
	}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.cmd.Process.Pid))
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
