package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// etcdSecurity are the keys in the two sections of etcd's configuration file,
// and the flags that they stand for, without peer- before those of the peers'.
var etcdSecurity = map[string]string{
	"cert-file": "cert-file", "key-file": "key-file", "client-cert-auth": "client-cert-auth",
	"client-cert-file": "client-cert-file", "client-key-file": "client-key-file",
	"trusted-ca-file": "trusted-ca-file", "auto-tls": "auto-tls",
	"allowed-cn": "cert-allowed-cn", "allowed-hostname": "cert-allowed-hostname",
	"skip-client-san-verification": "skip-client-san-verification",
}

// etcdSections are the parts of the file that hold keys in their turn, and what
// the flags of those begin with.
var etcdSections = map[string]string{
	"client-transport-security": "", "peer-transport-security": "peer-",
	"socket-options": "socket-", "discovery-config": "discovery-", "discovery-config.client": "discovery-",
}

// etcdFile is a configuration file of etcd's while it is read.
type etcdFile struct {
	c      *etcdCommand
	path   string
	faults []error
	over   []string // what is passed over, for the log
}

// file reads etcd's configuration file: YAML whose keys are the flags, but for
// some that are in sections. Keys that etcd doesn't know it passes over, and so
// does this, but names them, since they may be slips.
func (c *etcdCommand) file(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return usage("--config-file: %v", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return usage("--config-file %s: %v", path, err)
	}
	f := &etcdFile{c: c, path: path}
	for _, n := range doc.Content {
		f.section("", n)
	}
	if len(f.over) > 0 {
		c.note("--config-file %s has keys that mean nothing to etcd, and they were passed over: %s", path, strings.Join(f.over, ", "))
	}
	if err := errors.Join(f.faults...); err != nil {
		return &coded{exitUsage, err}
	}
	return nil
}

// section reads what is under a key, or all with none.
func (f *etcdFile) section(in string, n *yaml.Node) {
	if n = resolved(n); n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		f.fault(n, "%s is to have lines of `key: value`", cmp.Or(in, "the file"))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, v := n.Content[i], resolved(n.Content[i+1])
		name, dotted := strings.ToLower(key.Value), strings.TrimPrefix(in+"."+strings.ToLower(key.Value), ".")
		_, section := etcdSections[dotted]
		flag := flagOfKey(in, name)
		switch {
		case section:
			f.section(dotted, v)
		case key.Tag == "!!merge":
			f.section(in, v)
		case dotted == "client-transport-security.allowed-cn":
			if v.Tag != "!!null" && len(v.Value)+len(v.Content) > 0 {
				f.fault(key, "%s can't be had here, and those whom it keeps out are to stay out: allowed-hostname does the like", dotted)
			}
		case flag == "":
			f.pass(in, key, dotted)
		default:
			f.set(dotted, flag, v)
		}
	}
}

// flagOfKey is the flag that a key stands for, or "".
func flagOfKey(in, key string) string {
	name := strings.TrimPrefix(key, "experimental-")
	switch in {
	case "client-transport-security", "peer-transport-security":
		name = etcdSections[in] + etcdSecurity[key]
		if in == "client-transport-security" && key == "allowed-hostname" {
			name = "client-cert-allowed-hostname"
		}
	default:
		name = etcdSections[in] + name
	}
	if slices.ContainsFunc(etcdFlags, func(f etcdFlag) bool { return f.name == name }) {
		return name
	}
	return ""
}

// set takes a value, the last one of a key that is there twice, as etcd does.
func (f *etcdFile) set(key, flag string, n *yaml.Node) {
	switch v, ok := scalar(n); {
	case !ok:
		f.fault(n, "%s: want a value or a list of values", key)
	case n.Tag != "!!null":
		f.c.said[flag] = v
	}
}

// pass notes a key that is passed over.
func (f *etcdFile) pass(in string, key *yaml.Node, dotted string) {
	var known []string
	for _, e := range etcdFlags {
		if k, ok := strings.CutPrefix(e.name, etcdSections[in]); ok {
			known = append(known, k)
		}
	}
	if strings.HasSuffix(in, "-transport-security") {
		known = slices.Sorted(maps.Keys(etcdSecurity))
	}
	says := fmt.Sprintf("%s (line %d)", dotted, key.Line)
	if like := closest(key.Value, known); like != "" {
		says = fmt.Sprintf("%s (line %d; did you mean %s?)", dotted, key.Line, like)
	}
	f.over = append(f.over, says)
}

func (f *etcdFile) fault(n *yaml.Node, format string, args ...any) {
	f.faults = append(f.faults, fmt.Errorf("--config-file %s:%d: %s", f.path, n.Line, fmt.Sprintf(format, args...)))
}

// resolved is what an alias stands for.
func resolved(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
