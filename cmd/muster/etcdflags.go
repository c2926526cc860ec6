package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// errEtcdHelp and errEtcdVersion: it was asked for nothing else.
var (
	errEtcdHelp    = errors.New("help")
	errEtcdVersion = errors.New("version")
)

// etcdCommand is a command line of etcd's, understood.
type etcdCommand struct {
	said  map[string]string // by flag, without those that were left out
	notes []string          // for the log
	idle  []string          // flags that mean nothing here, as they were given
	out   []setting         // for serve's flags, in order

	nobody bool // it is to join a cluster, and nobody in it is named
}

type setting struct{ flag, value string }

// parseEtcd reads etcd's command line and environment as etcd does: one dash or
// two, the command line before the environment; a configuration file takes the
// place of both.
func parseEtcd(args, environ []string) (*etcdCommand, error) {
	c := &etcdCommand{said: map[string]string{}}
	set := flag.NewFlagSet("etcd", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for i := range etcdFlags {
		f := &etcdFlags[i]
		set.Var(etcdValue{c.said, f.name, f.bool}, f.name, "")
		if f.kind != refused { // as they were called while they were new
			set.Var(etcdValue{c.said, f.name, f.bool}, "experimental-"+f.name, "")
		}
	}
	file := set.String("config-file", "", "")
	version := set.Bool("version", false, "")
	if err := set.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, errEtcdHelp
		}
		return nil, usage("--etcd-flags: %v", err)
	}
	switch {
	case *version:
		return nil, errEtcdVersion
	case set.NArg() > 0:
		return nil, usage("--etcd-flags: %q is not a flag", set.Arg(0))
	}
	c.environment(environ, file)
	if *file != "" {
		c.notes = nil
		if len(c.said) > 0 {
			c.note("--config-file takes the place of all flags and variables of etcd's; not looked at: --%s", strings.Join(slices.Sorted(maps.Keys(c.said)), " --"))
		}
		clear(c.said)
		if err := c.file(*file); err != nil {
			return nil, err
		}
	}
	return c, c.translate()
}

// etcdValue stores what is said in the map.
type etcdValue struct {
	said map[string]string
	name string
	bool bool
}

// Set implements flag.Value.
func (v etcdValue) Set(s string) error { v.said[v.name] = s; return nil }

// String implements flag.Value.
func (v etcdValue) String() string { return v.said[v.name] }

// IsBoolFlag has a flag stand alone.
func (v etcdValue) IsBoolFlag() bool { return v.bool }

// environment fills in ETCD_…, and the file's name.
func (c *etcdCommand) environment(environ []string, file *string) {
	byVariable := map[string]string{}
	var bare []string // without what all have in common
	for _, f := range etcdFlags {
		name := strings.ToUpper(strings.ReplaceAll(f.name, "-", "_"))
		bare = append(bare, name)
		byVariable["ETCD_"+name], byVariable["ETCD_EXPERIMENTAL_"+name] = f.name, f.name
	}
	var over []string
	for _, kv := range environ {
		variable, value, _ := strings.Cut(kv, "=")
		if variable == "ETCD_CONFIG_FILE" && *file == "" {
			*file = value
		}
		name, ok := byVariable[variable]
		switch _, said := c.said[name]; {
		case ok && value != "" && !said:
			c.said[name] = value
		case !ok && strings.HasPrefix(variable, "ETCD_") && variable != "ETCD_CONFIG_FILE" && variable != "ETCD_UNSUPPORTED_ARCH":
			if like := closest(strings.TrimPrefix(variable, "ETCD_"), bare); like != "" {
				variable += " (did you mean ETCD_" + like + "?)"
			}
			over = append(over, variable)
		}
	}
	if len(over) > 0 {
		c.note("environment variables that mean nothing to etcd were passed over: %s", strings.Join(over, ", "))
	}
}

// translate makes serve's flags of what was said. All faults are told at once.
func (c *etcdCommand) translate() error {
	var faults []error
	for _, f := range etcdFlags {
		v, said := c.said[f.name]
		switch {
		case !said:
		case f.kind == copied:
			c.set(f.to, v)
		case f.kind == refused && v != "" && v != "false":
			faults = append(faults, fmt.Errorf("--%s can't be had here: %s", f.name, strings.ReplaceAll(f.note, "`", "")))
		case f.kind == pointless:
			c.idle = append(c.idle, "--"+f.name)
		}
	}
	faults = append(faults, c.identity(), c.clientAddresses(), c.peerAddresses(), c.way(), c.security(), c.gates(), c.logging())
	if err := errors.Join(faults...); err != nil {
		return &coded{exitUsage, err}
	}
	return nil
}

func (c *etcdCommand) set(flag, value string) { c.out = append(c.out, setting{flag, value}) }

// note says it once.
func (c *etcdCommand) note(format string, args ...any) {
	if n := fmt.Sprintf(format, args...); !slices.Contains(c.notes, n) {
		c.notes = append(c.notes, n)
	}
}

// or is what was said, or etcd's default.
func (c *etcdCommand) or(name, def string) string {
	if v := c.said[name]; v != "" {
		return v
	}
	return def
}

// on says whether a flag that needs no value was given.
func (c *etcdCommand) on(name string) bool { return c.said[name] == "true" || c.said[name] == "1" }

// apply sets serve's flags. What serve doesn't have, it does without.
func (c *etcdCommand) apply(set *pflag.FlagSet) error {
	var faults []error
	for _, s := range c.out {
		f := set.Lookup(s.flag)
		if f == nil {
			c.idle = append(c.idle, "--"+etcdName(s.flag))
			continue
		}
		v := s.value
		if i := slices.IndexFunc(etcdFlags, func(e etcdFlag) bool { return e.to == s.flag }); f.Value.Type() == "duration" && isNumber(v) {
			v += etcdFlags[i].unit
		}
		if err := set.Set(s.flag, v); err != nil {
			faults = append(faults, fmt.Errorf("--%s %q: %w", etcdName(s.flag), s.value, cause(err)))
		}
	}
	if err := errors.Join(faults...); err != nil {
		return &coded{exitUsage, err}
	}
	return nil
}

// etcdName is what etcd calls a flag of serve.
func etcdName(flag string) string {
	for _, f := range etcdFlags {
		if f.to == flag {
			return f.name
		}
	}
	return flag
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
