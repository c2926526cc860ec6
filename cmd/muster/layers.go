package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

const envPrefix = "MUSTER_"

// clientVariables are the variables that the client commands read.
var clientVariables = []string{"MUSTER_ENDPOINT", "MUSTER_CACERT", "MUSTER_CERT", "MUSTER_KEY", "MUSTER_USER"}

// envName is the variable that a flag is also read from.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// layer fills in the flags that the command line left out: first from the
// environment, then from the file that the flag "config" names. It returns
// what to warn about. All faults are reported at once.
func layer(flags *pflag.FlagSet, environ []string) (warnings []string, err error) {
	warnings, err = layerEnv(flags, environ)
	if err != nil {
		return warnings, err
	}
	path := flags.Lookup("config").Value.String()
	if path == "" {
		return warnings, nil
	}
	return warnings, layerFile(flags, path)
}

func layerEnv(flags *pflag.FlagSet, environ []string) (warnings []string, err error) {
	byVariable := map[string]string{}
	flags.VisitAll(func(f *pflag.Flag) { byVariable[envName(f.Name)] = f.Name })
	known := clientVariables
	for v := range byVariable {
		known = append(slices.Clip(known), v)
	}
	slices.Sort(known)
	bare := make([]string, len(known)) // without what all have in common
	for i, v := range known {
		bare[i] = strings.TrimPrefix(v, envPrefix)
	}
	var faults []error
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		flag, ok := byVariable[name]
		switch {
		case ok && value != "" && !flags.Changed(flag):
			if err := flags.Set(flag, value); err != nil {
				faults = append(faults, fmt.Errorf("environment variable %s=%q: %w", name, value, cause(err)))
			}
		case ok || slices.Contains(known, name) || !strings.HasPrefix(name, envPrefix):
		default:
			// Not an error: whoever runs a service called muster in Kubernetes
			// finds MUSTER_PORT and the like in the environment.
			if like := closest(strings.TrimPrefix(name, envPrefix), bare); like != "" {
				warnings = append(warnings, fmt.Sprintf("environment variable %s is not known and was ignored; did you mean %s?", name, envPrefix+like))
			}
		}
	}
	return warnings, errors.Join(faults...)
}

func layerFile(flags *pflag.FlagSet, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the configuration file (--config): %w", err)
	}
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(b)).Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) { // empty
			return nil
		}
		return fmt.Errorf("configuration file %s: %w", path, err)
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return fmt.Errorf("configuration file %s: want lines of `flag: value`", path)
	}
	var keys []string
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "config" && f.Name != "help" {
			keys = append(keys, f.Name)
		}
	})
	var faults []error
	seen := map[string]bool{}
	pairs := doc.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 {
		key := pairs[i]
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Errorf("configuration file %s:%d: %s", path, key.Line, fmt.Sprintf(format, args...)))
		}
		value, ok := scalar(pairs[i+1])
		switch {
		case !slices.Contains(keys, key.Value):
			if like := closest(key.Value, keys); like != "" {
				fault("unknown key %q; did you mean %q?", key.Value, like)
			} else {
				fault("unknown key %q; the keys are the flags of `muster serve`", key.Value)
			}
		case seen[key.Value]:
			fault("key %q is given twice", key.Value)
		case !ok:
			fault("%s: want a value or a list of values", key.Value)
		case !flags.Changed(key.Value):
			if err := flags.Set(key.Value, value); err != nil {
				fault("%s: %v", key.Value, cause(err))
			}
		}
		seen[key.Value] = true
	}
	return errors.Join(faults...)
}

// scalar is a value as a flag would be given it; a list is joined by commas.
func scalar(n *yaml.Node) (string, bool) {
	switch n.Kind {
	case yaml.ScalarNode:
		return n.Value, true
	case yaml.SequenceNode:
		parts := make([]string, len(n.Content))
		for i, c := range n.Content {
			if c.Kind != yaml.ScalarNode {
				return "", false
			}
			parts[i] = c.Value
		}
		return strings.Join(parts, ","), true
	}
	return "", false
}

// cause takes pflag's words about flags off an error in a value.
func cause(err error) error {
	var v *pflag.InvalidValueError
	if errors.As(err, &v) && v.Unwrap() != nil {
		return v.Unwrap()
	}
	return err
}

// closest is the candidate that a name looks like a slip of, or "".
func closest(name string, candidates []string) string {
	best, at := "", 3
	if len(name) < 6 {
		at = 2
	}
	for _, c := range candidates {
		if d := distance(name, c); d < at {
			best, at = c, d
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
