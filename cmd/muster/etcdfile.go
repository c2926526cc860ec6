package main

import (
	"cmp"
	"errors"
	"fmt"
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

// file reads etcd's configuration file: YAML whose keys are the flags, but for
// those of TLS, which are in sections.
func (c *etcdCommand) file(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return usage("--config-file: %v", err)
	}
	var doc map[string]yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return usage("--config-file %s: %v", path, err)
	}
	var faults []error
	say := func(name string, n *yaml.Node) {
		v, ok := scalar(n)
		name = strings.TrimPrefix(name, "experimental-")
		if !ok || !slices.ContainsFunc(etcdFlags, func(f etcdFlag) bool { return f.name == name }) {
			faults = append(faults, fmt.Errorf("--config-file %s:%d: %q is no flag of etcd's, or not a value", path, n.Line, name))
			return
		}
		if n.Tag != "!!null" {
			c.said[name] = v
		}
	}
	for key, n := range doc {
		prefix, section := map[string]string{"client-transport-security": "", "peer-transport-security": "peer-"}[key]
		if !section {
			say(key, &n)
			continue
		}
		var inner map[string]yaml.Node
		if err := n.Decode(&inner); err != nil {
			faults = append(faults, fmt.Errorf("--config-file %s:%d: %w", path, n.Line, err))
			continue
		}
		for k, n := range inner {
			name := cmp.Or(etcdSecurity[k], k)
			if prefix == "" && k == "allowed-hostname" {
				name = "client-cert-allowed-hostname"
			}
			say(prefix+name, &n)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return &coded{exitUsage, err}
	}
	return nil
}
