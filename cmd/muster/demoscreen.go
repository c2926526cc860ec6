package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// demoIntro is what is said of the demo itself.
type demoIntro struct {
	dir     string
	kept    bool
	program string // what to type for this program
}

func (i demoIntro) fate() string {
	if i.kept {
		return "kept"
	}
	return "deleted at the end"
}

// title is the first line.
func (i demoIntro) title(members int) string {
	many := "members"
	if members == 1 {
		many = "member"
	}
	return fmt.Sprintf("muster demo: %d %s in this process; data in %s (%s)", members, many, i.dir, i.fate())
}

// next is what to try next.
func (i demoIntro) next(v demoView) []string {
	var all []string
	for _, l := range v.lines {
		all = append(all, l.client)
	}
	first := v.lines[0].client
	return []string{
		"Try next, in another terminal:",
		"  etcdctl --endpoints=" + strings.Join(all, ",") + " put a b",
		"  " + i.program + " get a --endpoint " + all[len(all)-1],
		"  " + i.program + " status --endpoint " + first,
	}
}

// rows is the table of members.
func (v demoView) rows() (header []string, rows [][]string) {
	for _, l := range v.lines {
		row := []string{l.name, l.state, l.role(), l.client, "-", "-", "-", l.why}
		if l.st != nil {
			row[4], row[5], row[6] = number(l.st.Term), number(l.st.Committed), number(l.st.Applied)
		}
		rows = append(rows, row)
	}
	return []string{"MEMBER", "STATE", "ROLE", "CLIENTS", "#TERM", "#COMMITTED", "#APPLIED", ""}, rows
}

// headline says how the whole is doing.
func (v demoView) headline() string {
	switch {
	case v.clusterID.IsZero():
		return "no cluster yet"
	case v.leader == "" && v.term == 0:
		return fmt.Sprintf("cluster %s has no leader yet", v.clusterID)
	case v.leader == "":
		return fmt.Sprintf("cluster %s has no leader in term %d", v.clusterID, v.term)
	}
	return fmt.Sprintf("cluster %s, led by %s in term %d", v.clusterID, v.leader, v.term)
}

// summary is one line that changes only when something worth telling does.
func (v demoView) summary() string {
	parts := make([]string, len(v.lines))
	for i, l := range v.lines {
		parts[i] = l.name + " " + l.state
		if l.st != nil && l.role() == "learner" {
			parts[i] += " (learner)"
		}
	}
	return v.headline() + ": " + strings.Join(parts, ", ")
}

// fixedRows is how many rows a picture has beside its members and its events,
// with the line for typing.
const fixedRows = 13

// screen is the whole picture, without the line for typing, for a terminal of
// so many columns and rows (0: as many as you like). A picture that is higher
// could not be redrawn in place; so on a low terminal less of the past is told.
func screen(i demoIntro, v demoView, notice string, width, height int) []string {
	feed := feedSize
	if height > 0 {
		feed = max(0, min(feedSize, height-fixedRows-len(v.lines)))
	}
	events := v.events[max(0, len(v.events)-feed):]
	var b strings.Builder
	fmt.Fprintln(&b, i.title(len(v.lines)))
	fmt.Fprintln(&b, v.headline())
	fmt.Fprintln(&b)
	header, rows := v.rows()
	table(&b, header, rows)
	fmt.Fprintln(&b)
	for k := range feed {
		if k < len(events) {
			e := events[k]
			fmt.Fprintf(&b, "  %s  %-3s %s\n", e.at.Format("15:04:05"), e.member, e.text)
		} else {
			fmt.Fprintln(&b)
		}
	}
	fmt.Fprintln(&b)
	if v.readyAfter > 0 {
		fmt.Fprintln(&b, strings.Join(i.next(v), "\n"))
		name := v.lines[min(1, len(v.lines)-1)].name
		fmt.Fprintf(&b, "Here: stop %[1]s, kill %[1]s or start %[1]s, then Enter. Ctrl-C ends the demo.\n", name)
	} else {
		fmt.Fprintln(&b, "The members look for each other; this takes about a second.")
	}
	fmt.Fprint(&b, notice)
	lines := strings.Split(b.String(), "\n")
	for k, l := range lines {
		lines[k] = clip(l, width)
	}
	return lines
}

// clip cuts a line, so that it never wraps and the picture keeps its height.
func clip(s string, width int) string {
	if width <= 0 || utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// canvas redraws lines in place on a terminal in raw mode.
type canvas struct {
	w     io.Writer
	drawn int // lines above the one the cursor is on
}

// draw replaces what was drawn before. The cursor ends behind the last line.
func (c *canvas) draw(lines []string) {
	var b strings.Builder
	b.WriteString("\r")
	if c.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", c.drawn)
	}
	for i, l := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(l)
		b.WriteString("\x1b[K")
	}
	b.WriteString("\x1b[J")
	c.drawn = len(lines) - 1
	_, _ = io.WriteString(c.w, b.String())
}

// plain tells what changes in lines, for a log or a pipe, until stop.
func (d *demoRun) plain(out io.Writer, stop <-chan struct{}, tick <-chan time.Time) error {
	if tick == nil {
		t := time.NewTicker(100 * time.Millisecond)
		defer t.Stop()
		tick = t.C
	}
	fmt.Fprintln(out, d.intro.title(len(d.cluster.members)))
	last, told := "", false
	report := func() {
		v := d.look()
		if s := v.summary(); s != last {
			fmt.Fprintln(out, s)
			last = s
		}
		if v.readyAfter > 0 && !told {
			told = true
			fmt.Fprintf(out, "every member was ready after %.1f s\n", v.readyAfter.Seconds())
			if !d.brief {
				fmt.Fprintln(out, strings.Join(d.intro.next(v), "\n"))
			}
		}
	}
	for {
		report()
		select {
		case <-tick:
		case <-stop:
			report()
			return nil
		}
	}
}
