package main

import "syscall"

// processAttributes: a group of its own, so that Ctrl-C at the terminal reaches
// this program alone, which then ends its processes; and if it is killed
// itself, they end with it.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
