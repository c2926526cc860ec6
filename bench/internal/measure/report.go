package measure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Sample is one window of one system in one round.
type Sample struct {
	System  string `json:"system"`
	Clients int    `json:"clients"`
	Target  string `json:"target"` // who was asked, such as "leader"
	Round   int    `json:"round"`
	Window
	Note string `json:"note,omitempty"` // what was odd, such as a change of leader
}

// Report is all samples of a run. Ratios are taken between the two systems'
// windows of the same round, which lie next to each other in time, and the
// median of these is shown: a slow spell of the machine then hits both sides.
type Report struct {
	About   About    `json:"about"`
	Title   string   `json:"title,omitempty"`
	Unit    string   `json:"unit"`    // what an operation is, in the plural: "puts"
	Systems []string `json:"systems"` // in the order of the table
	Subject string   `json:"subject"` // the system that ratios are about
	Samples []Sample `json:"samples"`
	Failed  []string `json:"failed,omitempty"` // cells without a sample, and why
}

// WriteJSON writes the whole report, each sample included.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// cell is one line group of the table.
type cell struct {
	clients int
	target  string
}

// WriteTable writes where the run was, and then its rows.
func (r *Report) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "%s\n\n", r.About)
	return r.WriteRows(w)
}

// WriteRows writes medians and, below them, the ratios.
func (r *Report) WriteRows(w io.Writer) error {
	if r.Title != "" {
		fmt.Fprintf(w, "%s\n", r.Title)
	}
	var lines bytes.Buffer
	t := tabwriter.NewWriter(&lines, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "clients\tto\tsystem\t%s/s\tp50 ms\tp99 ms\tCPU µs/op\tclient µs/op\tRSS MiB\terrors\trounds\t\n", r.Unit)
	for _, c := range r.cells() {
		for _, s := range r.Systems {
			r.writeMedians(t, c, s)
		}
		for _, s := range r.Systems {
			if s != r.Subject {
				r.writeRatios(t, c, s)
			}
		}
		fmt.Fprintln(t, "\t\t\t\t\t\t\t\t\t\t\t") // an empty line that keeps the columns aligned
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(lines.String()) {
		fmt.Fprintln(w, strings.TrimRight(line, " \n"))
	}
	r.writeOddities(w)
	return nil
}

func (r *Report) writeMedians(t io.Writer, c cell, system string) {
	ss := r.of(c, system)
	if len(ss) == 0 {
		return
	}
	errs := 0
	for _, s := range ss {
		errs += s.Errors
	}
	med := func(f func(Window) float64) float64 { return median(each(ss, f)) }
	fmt.Fprintf(t, "%d\t%s\t%s\t%.0f\t%.2f\t%.2f\t%.1f\t%.1f\t%.0f\t%d\t%d\t\n", c.clients, c.target, system,
		med(perSecond), med(p50), med(p99), med(cpuPerOp), med(ownCPU), med(rss)/(1<<20), errs, len(ss))
}

func (r *Report) writeRatios(t io.Writer, c cell, peer string) {
	ratio := func(f func(Window) float64) string {
		qs := r.ratios(c, peer, f)
		if len(qs) == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2fx", median(qs))
	}
	if len(r.ratios(c, peer, perSecond)) == 0 {
		return
	}
	fmt.Fprintf(t, "\t\t%s/%s\t%s\t%s\t%s\t%s\t%s\t%s\t\t\t\n", r.Subject, peer,
		ratio(perSecond), ratio(p50), ratio(p99), ratio(cpuPerOp), ratio(ownCPU), ratio(rss))
}

// writeOddities lists what a median hides.
func (r *Report) writeOddities(w io.Writer) {
	for _, s := range r.Samples {
		if s.Note != "" {
			fmt.Fprintf(w, "note: %s, %d clients to %s, round %d: %s\n", s.System, s.Clients, s.Target, s.Round, s.Note)
		}
		if s.FirstError != "" {
			fmt.Fprintf(w, "errors: %s, %d clients to %s, round %d: %d, the first: %s\n", s.System, s.Clients, s.Target, s.Round, s.Errors, s.FirstError)
		}
	}
	for _, f := range r.Failed {
		fmt.Fprintf(w, "failed: %s\n", f)
	}
}

// cells in the order in which they first came up.
func (r *Report) cells() []cell {
	var cs []cell
	for _, s := range r.Samples {
		if c := (cell{s.Clients, s.Target}); !slices.Contains(cs, c) {
			cs = append(cs, c)
		}
	}
	return cs
}

func (r *Report) of(c cell, system string) []Sample {
	var ss []Sample
	for _, s := range r.Samples {
		if s.System == system && s.Clients == c.clients && s.Target == c.target {
			ss = append(ss, s)
		}
	}
	return ss
}

// ratios is subject over peer, one for each round that has both.
func (r *Report) ratios(c cell, peer string, f func(Window) float64) []float64 {
	var qs []float64
	for _, a := range r.of(c, r.Subject) {
		for _, b := range r.of(c, peer) {
			if a.Round == b.Round && f(b.Window) != 0 {
				qs = append(qs, f(a.Window)/f(b.Window))
			}
		}
	}
	return qs
}

func perSecond(w Window) float64 { return w.PerSecond }
func p50(w Window) float64       { return w.P50 }
func p99(w Window) float64       { return w.P99 }
func cpuPerOp(w Window) float64  { return w.CPUPerOp }
func ownCPU(w Window) float64    { return w.OwnCPU }
func rss(w Window) float64       { return float64(w.RSS) }

func each(ss []Sample, f func(Window) float64) []float64 {
	vs := make([]float64, len(ss))
	for i, s := range ss {
		vs[i] = f(s.Window)
	}
	return vs
}

// median of vs, which is not empty; the mean of the middle two of an even number.
func median(vs []float64) float64 {
	vs = slices.Sorted(slices.Values(vs))
	m := len(vs) / 2
	if len(vs)%2 == 1 {
		return vs[m]
	}
	return (vs[m-1] + vs[m]) / 2
}
