//go:build race

package process

// buildFlags: where the tests look for races, so do the members.
var buildFlags = []string{"-race"}
