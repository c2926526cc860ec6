package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// typed is the line being typed on a terminal in raw mode.
type typed struct {
	text   []byte
	escape bool // within an escape sequence, such as an arrow key: ignored
}

// feed takes what was typed; it returns the lines that were finished and
// whether the user wants to end (Ctrl-C, or Ctrl-D on an empty line).
func (t *typed) feed(b []byte) (lines []string, quit bool) {
	for _, c := range b {
		switch {
		case t.escape:
			t.escape = c == '[' || c == 'O' || c == ';' || (c >= '0' && c <= '9')
		case c == 0x1b:
			t.escape = true
		case c == 3 || (c == 4 && len(t.text) == 0):
			return lines, true
		case c == '\r' || c == '\n':
			if line := strings.TrimSpace(string(t.text)); line != "" {
				lines = append(lines, line)
			}
			t.text = t.text[:0]
		case c == 0x7f || c == 8:
			if n := len(t.text); n > 0 {
				t.text = t.text[:n-1]
			}
		case c == 0x15: // Ctrl-U
			t.text = t.text[:0]
		case c >= ' ' && c < 0x7f && len(t.text) < 200:
			t.text = append(t.text, c)
		}
	}
	return lines, false
}

// interactive draws the demo in place and takes what is typed, until the user
// ends it.
func (d *demoRun) interactive(in, out *os.File, stop <-chan struct{}) error {
	old, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return d.plain(out, stop, nil)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer func() {
		_ = term.Restore(int(in.Fd()), old)
		fmt.Fprintln(out)
	}()
	keys := readKeys(in)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	c, t := &canvas{w: out}, &typed{}
	notices := make(chan string, 1)
	notice, busy := "", false
	for {
		width, height, err := term.GetSize(int(out.Fd()))
		if err != nil {
			width, height = 80, 24
		}
		c.draw(append(screen(d.intro, d.look(), notice, width, height), clip("> "+string(t.text), width)))
		select {
		case <-tick.C:
		case <-stop:
			return nil
		case notice = <-notices:
			busy = false
		case b, ok := <-keys:
			lines, quit := t.feed(b)
			if quit || !ok {
				return nil
			}
			for _, line := range lines {
				if line == "quit" || line == "exit" {
					return nil
				}
				if busy {
					notice = "wait until the last command is done"
					continue
				}
				busy, notice = true, line+" …"
				go func() { notices <- d.carryOut(ctx, line) }()
			}
		}
	}
}

// carryOut runs a typed command and puts the outcome into words.
func (d *demoRun) carryOut(ctx context.Context, line string) string {
	done, err := d.cluster.command(ctx, line)
	if err != nil {
		return err.Error()
	}
	return done
}

// readKeys gives what is typed. Its goroutine ends with the process: a read of
// a terminal can't be cut off.
func readKeys(in *os.File) <-chan []byte {
	keys := make(chan []byte)
	go func() {
		defer close(keys)
		for {
			b := make([]byte, 64)
			n, err := in.Read(b)
			if err != nil {
				return
			}
			keys <- b[:n]
		}
	}()
	return keys
}
