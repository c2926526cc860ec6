package crashfs

import "fmt"

// Kind is what an operation does.
type Kind int

const (
	Create Kind = iota
	Link
	Remove
	Rename
	Mkdir
	Lock
	Write
	Sync     // of a file or a directory
	SyncData // of a file
)

var kindNames = [...]string{"create", "link", "remove", "rename", "mkdir", "lock", "write", "sync", "sync data"}

func (k Kind) String() string { return kindNames[k] }

// Op is one operation that changes the file system, before it happens.
type Op struct {
	N      int // 1 for the first since New, Crash or Kill
	Kind   Kind
	Name   string // path; of a rename, the new one
	Old    string // of a rename
	Offset int64  // of a write, bytes
	Len    int    // of a write, bytes
}

func (o Op) String() string {
	switch o.Kind {
	case Write:
		return fmt.Sprintf("%d: write %s %d+%d", o.N, o.Name, o.Offset, o.Len)
	case Rename:
		return fmt.Sprintf("%d: rename %s %s", o.N, o.Old, o.Name)
	}
	return fmt.Sprintf("%d: %s %s", o.N, o.Kind, o.Name)
}

// ShortWrite is the error of a hook that lets the first N bytes of a write
// through.
type ShortWrite struct {
	N   int
	Err error
}

func (s *ShortWrite) Error() string { return s.Err.Error() }
func (s *ShortWrite) Unwrap() error { return s.Err }

// SetHook has h called before every operation that changes something, one at
// a time, in the caller's goroutine. An error that it returns is what the
// operation fails with. h may call Crash and Kill, but change nothing.
func (f *FS) SetHook(h func(Op) error) {
	f.hookMu.Lock()
	defer f.hookMu.Unlock()
	f.hook = h
}

// Ops is how many operations were begun.
func (f *FS) Ops() int {
	f.hookMu.Lock()
	defer f.hookMu.Unlock()
	return f.ops
}

func (f *FS) before(op Op) error {
	f.hookMu.Lock()
	defer f.hookMu.Unlock()
	f.ops++
	op.N = f.ops
	if f.hook == nil {
		return nil
	}
	return f.hook(op)
}
