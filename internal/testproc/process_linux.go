package testproc

import "syscall"

// attributes: a group of its own, so that Ctrl-C at the terminal reaches whoever
// started it alone, who then ends it; and with whom it ends in any case.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
