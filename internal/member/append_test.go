package member

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/crashfs"
	"github.com/musterhq/muster/internal/raftlog"
	"github.com/musterhq/muster/internal/replica"
	"github.com/musterhq/muster/internal/wire"
)

// TestWriterSendsWhatIsDurable: when a message leaves that may be sent once the
// log is durable, the log survives the loss of power.
func TestWriterSendsWhatIsDurable(t *testing.T) {
	fs := crashfs.New()
	log, err := raftlog.Open("/log", raftlog.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	w := Writer{Log: log, Send: func(to cluster.NodeID, _ *wire.Batch) {
		sent++
		after, err := raftlog.Open("/log", raftlog.Options{FS: fs.Crash(crashfs.None, 1)})
		if err != nil {
			t.Fatal(err)
		}
		if after.LastIndex() != 2 || after.HardState().GetVote() != 9 {
			t.Errorf("sent to %s, and a crash leaves %d entries and %v", to, after.LastIndex(), after.HardState())
		}
	}}
	entry := func(index uint64) *raftpb.Entry { return &raftpb.Entry{Index: new(index), Term: new(uint64(3))} }
	jobs := []AppendJob{
		{Append: replica.Append{Entries: []*raftpb.Entry{entry(1)}, Sync: true, Durable: []replica.Outgoing{{To: 2}}}},
		{Append: replica.Append{
			Entries: []*raftpb.Entry{entry(2)}, Sync: true, Durable: []replica.Outgoing{{To: 2}, {To: 3}},
			HardState: &raftpb.HardState{Term: new(uint64(3)), Vote: new(uint64(9)), Commit: new(uint64(0))},
		}},
	}
	if n, err := w.Some(jobs); n != 2 || err != nil || sent != 3 {
		t.Errorf("%d jobs done, %d messages sent, %v", n, sent, err)
	}
}
