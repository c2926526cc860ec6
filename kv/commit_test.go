package kv

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/statemachine"
)

// tardy takes a second, of the bubble's, to make a table.
type tardy struct{ vfs.FS }

func (f tardy) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasSuffix(name, ".sst") {
		time.Sleep(time.Second)
	}
	return f.FS.Create(name, c)
}

// Each Apply call tells how long its batch took: no time at all, until what is to be
// flushed is more than the disk keeps up with.
func TestCommitsWaitForADiskThatLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took []time.Duration
		fs := tardy{vfs.NewMem()}
		must(t, fs.MkdirAll("d", 0o755))
		s := New(Options{FS: fs, MemTableBytes: 64 << 10, OnCommit: func(d time.Duration) { took = append(took, d) }})
		if _, err := s.Open("d"); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		cmd, err := EncodePut(&pb.PutRequest{Key: []byte("k"), Value: make([]byte, 8<<10)})
		must(t, err)
		for i := range uint64(100) {
			if _, err := s.Apply(i+1, []statemachine.Entry{{Index: i + 1, Command: cmd}}); err != nil {
				t.Fatal(err)
			}
		}
		if len(took) != 100 {
			t.Fatalf("%d of 100 commits were timed", len(took))
		}
		var waited int
		for i, d := range took {
			if d > 0 {
				waited++
			}
			if i < 10 && d > 0 {
				t.Errorf("commit %d took %v, with nothing to wait for", i, d)
			}
		}
		if waited == 0 || waited > 50 {
			t.Errorf("%d commits waited for the disk: %v", waited, took)
		}
	})
}
