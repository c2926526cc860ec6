package measure

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// About says where and of what a run was, so that its figures mean something
// to somebody else.
type About struct {
	When     time.Time     `json:"when"`
	Commit   string        `json:"commit"` // of muster; ends in "+" when the tree has changes
	Go       string        `json:"go"`
	OS       string        `json:"os"`
	CPU      string        `json:"cpu"`
	CPUs     int           `json:"cpus"`
	DataDir  string        `json:"data_dir"`
	Sync     time.Duration `json:"fdatasync_ns"` // median of a 512-byte append and its fdatasync, measured before the run
	Settings string        `json:"settings"`     // the run's flags
}

// String is the table's heading.
func (a About) String() string {
	return fmt.Sprintf("%s, muster %s, %s, %s\n%s, %d CPUs\ndata in %s, one fdatasync takes %v\n%s",
		a.When.Format(time.RFC3339), a.Commit, a.Go, a.OS, a.CPU, a.CPUs, a.DataDir, a.Sync.Round(time.Microsecond), a.Settings)
}

// Describe looks at this machine. dir is the run's own directory, below the
// one that is reported; an fdatasync is timed there.
func Describe(dir, settings string) (About, error) {
	sync, err := timeSync(dir)
	if err != nil {
		return About{}, err
	}
	return About{
		When: time.Now(), Commit: commit(), Go: runtime.Version(), OS: kernel(), CPU: cpuModel(),
		CPUs: runtime.NumCPU(), DataDir: filepath.Dir(dir), Sync: sync, Settings: settings,
	}, nil
}

// timeSync is the median time of appending a small record and syncing it.
func timeSync(dir string) (time.Duration, error) {
	name := filepath.Join(dir, "sync-probe")
	f, err := os.Create(name)
	if err != nil {
		return 0, fmt.Errorf("probe the disk: %w", err)
	}
	defer func() { _ = f.Close(); _ = os.Remove(name) }()
	took := make([]time.Duration, 101)
	for i := range took {
		begin := time.Now()
		if _, err := f.Write(make([]byte, 512)); err != nil {
			return 0, fmt.Errorf("probe the disk: %w", err)
		}
		if err := fdatasync(f); err != nil {
			return 0, fmt.Errorf("probe the disk: %w", err)
		}
		took[i] = time.Since(begin)
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty=+").Output()
	if err != nil {
		return "of unknown commit"
	}
	return strings.TrimSpace(string(out))
}

func kernel() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS + "/" + runtime.GOARCH
	}
	return runtime.GOOS + " " + strings.TrimSpace(string(b))
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(b)) {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return runtime.GOARCH
}
