package host

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// heard makes a message of a word: b a heartbeat, r the answer to one, a another
// message; then the term, and the context.
func heard(word string) *raftpb.Message {
	typ := map[byte]raftpb.MessageType{'b': raftpb.MsgHeartbeat, 'r': raftpb.MsgHeartbeatResp, 'a': raftpb.MsgApp}[word[0]]
	return &raftpb.Message{Type: typ.Enum(), Term: new(uint64(word[1] - '0')), Context: []byte(word[2:])}
}

func told(m *raftpb.Message) string {
	return fmt.Sprintf("%c%d%s", map[raftpb.MessageType]rune{raftpb.MsgHeartbeat: 'b', raftpb.MsgHeartbeatResp: 'r', raftpb.MsgApp: 'a'}[m.GetType()], m.GetTerm(), m.GetContext())
}

// TestStaleBeats: of the heartbeats that wait the newest is left, and the newest
// that confirms reads; all else stays, in its order. What came in is not changed.
func TestStaleBeats(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"1 b1", "1 b1"},
		{"1 b1x b1y b1z", "1 b1z"},
		{"1 b1x a1 b1y a1 a1 b1 b1", "1 a1 b1y a1 a1 b1"},
		{"1 b1x b1 | 1 b1 a1 | 1 a1 b1y", "1 | 1 a1 | 1 a1 b1y"},
		{"1 b1x | 2 b1x | 1 b2", "1 b1x | 2 b1x | 1 b2"}, // of another peer, of another term
		{"1 b1 b2 b1", "1 b2 b1"},
		{"1 r1x b1x r1y b1y", "1 r1y b1y"},
		{"1 a1 a1", "1 a1 a1"},
	} {
		var in []inbound
		for batch := range strings.SplitSeq(c.in, " | ") {
			words := strings.Fields(batch)
			b := &wire.Batch{Forwards: []wire.Forward{{Term: 7}}}
			for _, w := range words[1:] {
				b.Raft = append(b.Raft, heard(w))
			}
			in = append(in, inbound{cluster.NodeID(words[0][0] - '0'), b})
		}
		came := slices.Clone(in)
		text := func(in []inbound) string {
			var batches []string
			for _, b := range in {
				words := []string{fmt.Sprint(uint64(b.from))}
				for _, m := range b.batch.Raft {
					words = append(words, told(m))
				}
				if len(b.batch.Forwards) != 1 {
					t.Errorf("%s: the rest of a batch was lost", c.in)
				}
				batches = append(batches, strings.Join(words, " "))
			}
			return strings.Join(batches, " | ")
		}
		box := newInbox()
		for _, b := range in {
			box.put(func(all *inputs) { all.batches = append(all.batches, b) })
		}
		if got := text(box.take().batches); got != c.want {
			t.Errorf("of %s is left %s, want %s", c.in, got, c.want)
		}
		if got := text(came); got != c.in {
			t.Errorf("what came in was changed from %s to %s", c.in, got)
		}
	}
}
