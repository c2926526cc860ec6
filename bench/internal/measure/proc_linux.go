package measure

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// clockTick is the unit of the times in /proc/PID/stat, USER_HZ. It has been
// 1/100 s on every architecture that Go runs on since Linux 2.6.
const clockTick = 10 * time.Millisecond

// Process reads what the process has used so far from /proc/PID/stat.
func Process(pid int) (Usage, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	u, err := parseStat(b)
	if err != nil {
		return Usage{}, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	return u, nil
}

// parseStat reads fields 14, 15 and 24 of proc_pid_stat(5): user and system
// time in ticks, resident pages. Field 2 is the command in parentheses, which
// may itself hold blanks and parentheses, so counting begins behind the last one.
func parseStat(b []byte) (Usage, error) {
	_, rest, ok := cutLast(b, ')')
	fields := bytes.Fields(rest)
	if !ok || len(fields) < 22 {
		return Usage{}, fmt.Errorf("stat has %d fields behind the command, want at least 22", len(fields))
	}
	var v [3]int64
	for i, f := range []int{14, 15, 24} {
		n, err := strconv.ParseInt(string(fields[f-3]), 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("stat field %d: %w", f, err)
		}
		v[i] = n
	}
	return Usage{CPU: time.Duration(v[0]+v[1]) * clockTick, RSS: v[2] * int64(os.Getpagesize())}, nil
}

func cutLast(b []byte, sep byte) (before, after []byte, found bool) {
	i := bytes.LastIndexByte(b, sep)
	if i < 0 {
		return b, nil, false
	}
	return b[:i], b[i+1:], true
}

// Self is what this process has used so far.
func Self() (Usage, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return Usage{}, fmt.Errorf("read own CPU time: %w", err)
	}
	u, err := Process(os.Getpid())
	u.CPU = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	return u, err
}

func fdatasync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
