package snapshot

import "syscall"

var errNoSpace error = syscall.ENOSPC
