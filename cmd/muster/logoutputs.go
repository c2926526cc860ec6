package main

import (
	"errors"
	"io"
	"os"
	"slices"
)

// openLog is where the log goes, all of the outputs: stderr, stdout, or files that
// are appended to. close closes the files.
func openLog(outputs []string, stdout, stderr io.Writer) (w io.Writer, closeAll func(), err error) {
	var all []io.Writer
	var files []*os.File
	closeAll = func() {
		for _, f := range files {
			_ = f.Close() // what was written is in the file
		}
	}
	outputs = slices.Clone(outputs)
	slices.Sort(outputs)
	for _, o := range slices.Compact(outputs) {
		switch o {
		case "stderr":
			all = append(all, stderr)
		case "stdout":
			all = append(all, stdout)
		default:
			// O_APPEND: what rotates it may empty it.
			f, err := os.OpenFile(o, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // as readable as umask lets it be
			if err != nil {
				closeAll()
				return nil, nil, usage("--log-outputs: %v", err)
			}
			files, all = append(files, f), append(all, f)
		}
	}
	if len(all) == 0 {
		return nil, nil, usage("--log-outputs names nothing: want stderr, stdout or files")
	}
	return every(all), closeAll, nil
}

// every writes to all of them, whichever of them fail.
type every []io.Writer

// Write implements io.Writer.
func (e every) Write(b []byte) (int, error) {
	var errs []error
	for _, w := range e {
		_, err := w.Write(b)
		errs = append(errs, err)
	}
	return len(b), errors.Join(errs...)
}
