package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/server"
)

// exitCode is how the process ends; the numbers are promised to scripts.
type exitCode int

const (
	exitOK      exitCode = 0
	exitFailed  exitCode = 1
	exitUsage   exitCode = 2
	exitRemoved exitCode = 3
	exitUnknown exitCode = 4
	exitData    exitCode = 5
	exitDisk    exitCode = 6
)

// exitCodes says what each means, in order.
var exitCodes = []struct {
	code exitCode
	text string
}{
	{exitOK, "it worked; serve and demo: ended as asked"},
	{exitFailed, "it did not work, and nothing was changed"},
	{exitUsage, "wrong usage or configuration"},
	{exitRemoved, "this node was removed from its cluster, for good; start a new one on an empty directory"},
	{exitUnknown, "nobody knows: no answer came in time, and it may have happened; look before asking again"},
	{exitData, "the data directory was refused: damaged, in use, not this node's, an older image or a copy of its disk, or of before the cluster was re-formed; or the pin was; the data in it was not touched"},
	{exitDisk, "the disk failed: full, or an I/O error; the node stopped, and what was acknowledged is safe"},
}

func exitCodesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("How muster ends, for scripts:\n\n")
	for _, c := range exitCodes {
		fmt.Fprintf(&b, "  %d  %s\n", c.code, c.text)
	}
	return &cobra.Command{Use: "exit-codes", Short: "How muster ends, for scripts", Long: strings.TrimRight(b.String(), "\n")}
}

// coded is an error that brings its exit code.
type coded struct {
	code exitCode
	err  error
}

func (e *coded) Error() string { return e.err.Error() }
func (e *coded) Unwrap() error { return e.err }

// usage is an error in what the user wrote.
func usage(format string, args ...any) error {
	return &coded{exitUsage, fmt.Errorf(format, args...)}
}

// hinted is an error with a way out in more than a sentence.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

// codeOf finds the exit code of an error.
func codeOf(err error) exitCode {
	var c *coded
	var admin *server.Error
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &c):
		return c.code
	case errors.Is(err, muster.ErrConfig):
		return exitUsage
	case errors.Is(err, muster.ErrData):
		return exitData
	case errors.Is(err, muster.ErrDisk):
		return exitDisk
	case errors.Is(err, muster.ErrRemoved):
		return exitRemoved
	case errors.Is(err, muster.ErrUnknownOutcome):
		return exitUnknown
	case errors.As(err, &admin) && admin.Outcome == server.Unknown:
		return exitUnknown
	case errors.As(err, &admin) && admin.Code == "invalid":
		return exitUsage
	}
	return exitFailed
}
