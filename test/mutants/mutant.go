package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mutant is one planted bug. Its file has a head, then edits:
//
//	bug:  what is broken, in a sentence
//	seen: which real system had it, with a reference
//	fast: yes, if it belongs to the quick selection; may be missing
//	kill: LAYER: what to run; the cheapest first
//	kill: …
//
//	file: internal/replica/read.go
//	<<<
//	the old text, which must be in the file exactly once
//	===
//	the new text, which may be empty
//	>>>
//
// Lines of the head that begin with a blank go on from the line before. A file
// may have several edits, and several files may be edited.
type mutant struct {
	name      string // of its file, without the suffix
	bug, seen string
	fast      bool
	killers   []killer
	edits     []edit
}

// killer is one check that has to notice: the arguments of go test, or for the
// simulator how many seeds it may need.
type killer struct {
	layer string // one of layers
	hangs bool   // to hang counts as to fail
	args  []string
}

// layers are what a killer may be, from the cheapest to the dearest.
var layers = []string{"unit", "explore", "crash", "scenario", "sim", "process"}

// edit is one change of a file.
type edit struct {
	file     string // below the module's root
	old, new string
}

const suffix = ".mutant"

// load reads all mutants of a directory, sorted by name.
func load(dir string) ([]mutant, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no mutants in %s (%w); run this from the module's root", dir, err)
	}
	slices.Sort(files)
	var all []mutant
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		m, err := parse(strings.TrimSuffix(filepath.Base(f), suffix), string(b))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		all = append(all, m)
	}
	return all, nil
}

func parse(name, text string) (mutant, error) {
	m := mutant{name: name}
	head, edits, _ := strings.Cut(text, "\nfile:")
	head = strings.ReplaceAll(strings.ReplaceAll(head, "\n\t", " "), "\n ", " ")
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		value = strings.Join(strings.Fields(value), " ")
		switch key {
		case "bug":
			m.bug = value
		case "seen":
			m.seen = value
		case "fast":
			m.fast = value == "yes"
		case "kill":
			k, err := parseKiller(value)
			if err != nil {
				return m, err
			}
			m.killers = append(m.killers, k)
		case "":
		default:
			return m, fmt.Errorf("unknown line %q", line)
		}
	}
	if m.bug == "" || m.seen == "" || len(m.killers) == 0 || edits == "" {
		return m, fmt.Errorf("a mutant has a bug, says where it was seen, and has a killer and an edit")
	}
	for part := range strings.SplitSeq(edits, "\nfile:") {
		if err := m.parseEdits(part); err != nil {
			return m, err
		}
	}
	return m, nil
}

func parseKiller(value string) (killer, error) {
	layer, args, _ := strings.Cut(value, ":")
	layer, hangs := strings.CutSuffix(layer, " hangs")
	k := killer{layer: layer, hangs: hangs, args: strings.Fields(args)}
	if !slices.Contains(layers, layer) || len(k.args) == 0 {
		return k, fmt.Errorf("killer %q: want one of %v, a colon, and what to run", value, layers)
	}
	return k, nil
}

// parseEdits reads what follows "file:": a path, and the edits of that file.
func (m *mutant) parseEdits(part string) error {
	file, rest, _ := strings.Cut(part, "\n")
	file = strings.TrimSpace(file)
	n := 0
	for {
		_, block, found := strings.Cut(rest, "<<<\n")
		if !found {
			break
		}
		body, after, closed := strings.Cut(block, "\n>>>")
		before, now, divided := strings.Cut(body, "\n===")
		if !closed || !divided {
			return fmt.Errorf("edit of %s: want <<<, the old text, ===, the new text, >>>", file)
		}
		m.edits = append(m.edits, edit{file: file, old: before, new: strings.TrimPrefix(now, "\n")})
		rest = after
		n++
	}
	if n == 0 {
		return fmt.Errorf("file %s has no edit", file)
	}
	return nil
}

// apply returns the edited files by their paths.
func (m *mutant) apply(root string) (map[string]string, error) {
	files := map[string]string{}
	for _, e := range m.edits {
		text, ok := files[e.file]
		if !ok {
			b, err := os.ReadFile(filepath.Join(root, e.file))
			if err != nil {
				return nil, fmt.Errorf("mutant no longer applies: %w", err)
			}
			text = string(b)
		}
		if n := strings.Count(text, e.old); n != 1 {
			return nil, fmt.Errorf("mutant no longer applies: %s has this %d times: %q", e.file, n, e.old)
		}
		files[e.file] = strings.Replace(text, e.old, e.new, 1)
	}
	return files, nil
}
