// Package file provides addresses from a file, one host:port a line, and reads
// it again when it has changed.
//
// Blank lines don't count, nor does what follows a #. A line that is no address
// is an error which names it; the others are used nevertheless. The file may be
// written in place or replaced, by a rename or by the symbolic links of a
// Kubernetes ConfigMap, it may be missing at times: what was read last is not
// taken back.
//
// It watches by reading, about once a second, and not by the operating
// system's notifications, which miss what happens behind links and on network
// file systems. It never writes the file.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/musterhq/muster/discovery"
	"github.com/musterhq/muster/discovery/internal/look"
)

// maxBytes is more than any list of peers needs. A larger file is another file.
const maxBytes = 1 << 20

// Provider reads one file.
type Provider struct {
	// Path of the file. Required.
	Path string
	// Every is the time between two looks, more or less. Default 1 s.
	Every time.Duration
}

var _ discovery.Provider = (*Provider)(nil)

// Find reports what is in the file now, and again whenever that has changed or
// it can't be read any more.
func (p *Provider) Find(ctx context.Context, _ string, report func([]string, error)) {
	every := p.Every
	if every <= 0 {
		every = time.Second
	}
	var last look.Finding
	for ctx.Err() == nil {
		now := look.Found(p.read())
		if !now.Equal(last) {
			now.Report(report)
			last = now
		}
		look.Pause(ctx, every)
	}
}

// String is "file" and the path.
func (p *Provider) String() string { return "file " + p.Path }

// read returns the good lines, and an error about the others.
func (p *Provider) read() ([]string, error) {
	if info, err := os.Stat(p.Path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file; put a list of peers there, one host:port a line", p.Path) // to open a pipe could take for ever
	}
	f, err := os.Open(p.Path)
	if err != nil {
		return nil, fmt.Errorf("%w; it is read again as soon as it can be", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("%w; it is read again as soon as it can be", err)
	}
	if len(b) > maxBytes {
		return nil, fmt.Errorf("%s has more than %d bytes: a list of peers has one host:port a line", p.Path, maxBytes)
	}
	return p.parse(string(b))
}

func (p *Provider) parse(text string) ([]string, error) {
	var addrs []string
	var bad []error
	n := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		n++
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if err := look.CheckAddr(line); err != nil {
			bad = append(bad, fmt.Errorf("%s:%d: %w; a line is host:port, such as 10.0.0.1:2380", p.Path, n, err))
			continue
		}
		addrs = append(addrs, line)
	}
	return addrs, errors.Join(bad...)
}
