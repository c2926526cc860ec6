package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/cluster"
)

func golden(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if h := hex.EncodeToString(got); h != strings.ReplaceAll(want, " ", "") {
		t.Errorf("%s is now\n%s\nwhich other versions can't read; it was\n%s", what, h, want)
	}
}

func sampleBatch() *Batch {
	return &Batch{
		Raft: []*raftpb.Message{{
			Type: raftpb.MsgApp.Enum(), From: new(uint64(1)), To: new(uint64(2)), Term: new(uint64(3)), Index: new(uint64(4)),
			Entries: []*raftpb.Entry{{Term: new(uint64(3)), Index: new(uint64(5)), Data: []byte("x")}},
		}},
		Forwards: []Forward{{Term: 7, First: RequestID{Origin: 2, Seq: 9}, Cmds: [][]byte{[]byte("ab"), {}}}},
		Rejects:  []ForwardReject{{First: RequestID{Origin: 3, Seq: 11}, Count: 2, Overloaded: true}, {First: RequestID{Origin: 3, Seq: 13}, Count: 1}},
	}
}

func mustBatch(t testing.TB, b *Batch) []byte {
	t.Helper()
	enc, err := AppendBatch(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	return enc
}

func equalBatch(a, b *Batch) bool {
	if len(a.Raft) != len(b.Raft) || !reflect.DeepEqual(a.Forwards, b.Forwards) || !reflect.DeepEqual(a.Rejects, b.Rejects) {
		return false
	}
	for i := range a.Raft {
		if !proto.Equal(a.Raft[i], b.Raft[i]) {
			return false
		}
	}
	return true
}

func TestGolden(t *testing.T) {
	golden(t, "a frame", AppendFrame([]byte("before"), KindMessages, []byte("abc"))[6:], "04000000 414c2fb8 05 616263")
	entry := AppendGroup([]byte{byte(EntryCommands)}, RequestID{Origin: 0x0102, Seq: 3}, [][]byte{[]byte("hi"), nil})
	golden(t, "a commands entry", entry, "01 0201000000000000 0300000000000000 02 02 6869 00")
	golden(t, "a batch", mustBatch(t, sampleBatch()), ""+
		"01 13 0803 1002 1801 2003 3004 3a07 1003 1805 220178"+
		"02 1d 0700000000000000 0200000000000000 0900000000000000 02 02 6162 00"+
		"03 19 0300000000000000 0b00000000000000 0200000000000000 01"+
		"03 19 0300000000000000 0d00000000000000 0100000000000000 00")
	c := Change{Request: "r", Steps: []Step{{Op: OpPromote, Member: cluster.Member{ID: 5}}}}
	if got, want := string(EncodeUpdate(c)), "\x02"+`{"request":"r","steps":[{"op":"promote","member":{"id":"0000000000000005","incarnation":"","name":"","peer_addr":"","role":""}}]}`; got != want {
		t.Errorf("a change is now\n%s\nit was\n%s", got, want)
	}
}

func TestBatchRoundTrip(t *testing.T) {
	for _, b := range []*Batch{{}, sampleBatch()} {
		enc := mustBatch(t, b)
		got, err := DecodeBatch(enc)
		if err != nil || !equalBatch(got, b) {
			t.Fatalf("%v: got %+v, want %+v", err, got, b)
		}
		for i := range enc { // the batch has nothing of the bytes it came from
			enc[i] = 0xff
		}
		if !equalBatch(got, b) {
			t.Fatal("a batch that was read changes with its bytes")
		}
	}
}

func TestBatchRefuses(t *testing.T) {
	enc := mustBatch(t, sampleBatch())
	whole := map[int]bool{0: true} // cut between items it is a shorter batch
	for _, n := range []int{0x15, 0x15 + 0x1f, 0x15 + 0x1f + 27} {
		whole[n] = true
	}
	for n := range enc {
		if _, err := DecodeBatch(enc[:n]); (err == nil) != whole[n] || err != nil && !errors.Is(err, ErrCorruptBatch) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	term := make([]byte, 8)
	twoGroups := AppendGroup(AppendGroup(term, RequestID{1, 1}, [][]byte{nil}), RequestID{2, 1}, [][]byte{nil})
	many := append(bytes.Repeat([]byte{0}, 16), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0)
	for what, b := range map[string][]byte{
		"an unknown item":                {9, 0},
		"a length that overflows":        append([]byte{1}, bytes.Repeat([]byte{0xff}, 10)...),
		"an empty forward":               append([]byte{itemForward, 8}, term...),
		"a short forward":                {itemForward, 1, 0},
		"a forward of two groups":        append([]byte{itemForward, byte(len(twoGroups))}, twoGroups...),
		"a reject of ever so many":       append([]byte{itemReject, 25}, many...),
		"a reject of none":               append([]byte{itemReject, 25}, make([]byte, 25)...),
		"a raft message that can't be":   {itemRaft, 1, 0xff},
		"a reject of another length":     {itemReject, 1, 0},
		"a group of more than there are": append([]byte{itemForward, 8 + 16 + 2}, append(make([]byte, 24), 9, 0)...),
	} {
		if _, err := DecodeBatch(b); !errors.Is(err, ErrCorruptBatch) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestCommands(t *testing.T) {
	data := []byte{byte(EntryCommands)}
	type got struct {
		id  RequestID
		cmd string
	}
	var want, have []got
	for g := range uint64(3) {
		first := RequestID{Origin: cluster.NodeID(g + 1), Seq: g * 100}
		var cmds [][]byte
		for i := range g + 1 {
			cmd := bytes.Repeat([]byte{byte(i)}, int(i)*100)
			cmds = append(cmds, cmd)
			want = append(want, got{RequestID{first.Origin, first.Seq + i}, string(cmd)})
		}
		before := len(data)
		data = AppendGroup(data, first, cmds)
		sum := 0
		for _, c := range cmds {
			sum += len(c) + CommandOverhead
		}
		if len(data)-before > sum {
			t.Fatalf("a group of %d bytes, CommandOverhead promised %d", len(data)-before, sum)
		}
	}
	err := ReadCommands(data, func(id RequestID, cmd []byte) { have = append(have, got{id, string(cmd)}) })
	if err != nil || !reflect.DeepEqual(have, want) {
		t.Fatalf("%v: %v, want %v", err, have, want)
	}
	for _, bad := range [][]byte{nil, {byte(EntryUpdate)}, data[:len(data)-1], data[:10]} {
		if err := ReadCommands(bad, func(RequestID, []byte) {}); !errors.Is(err, ErrCorruptEntry) {
			t.Errorf("%.20x: %v", bad, err)
		}
	}
}

func TestFrames(t *testing.T) {
	var stream []byte
	stream = AppendFrame(stream, KindMessages, nil)
	stream = AppendFrame(stream, KindChunk, bytes.Repeat([]byte("x"), 1000))
	r := bytes.NewReader(stream)
	buf := make([]byte, 10)
	if k, b, err := ReadFrame(r, buf, 1000); k != KindMessages || len(b) != 0 || err != nil {
		t.Fatal(k, b, err)
	}
	if k, b, err := ReadFrame(r, buf, 1000); k != KindChunk || len(b) != 1000 || err != nil {
		t.Fatal(k, len(b), err)
	}
	if _, _, err := ReadFrame(r, buf, 1000); err != io.EOF {
		t.Fatal(err)
	}
	for n := 1; n < FrameHeaderLen; n++ {
		if _, _, err := ReadFrame(bytes.NewReader(stream[:n]), nil, 1000); err != io.ErrUnexpectedEOF {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, _, err := ReadFrame(bytes.NewReader(stream[9:]), nil, 999); !errors.Is(err, ErrCorruptFrame) {
		t.Fatalf("a frame above the limit: %v", err)
	}
	for i := range 9 * 8 { // any bit
		bad := AppendFrame(nil, KindMessages, nil)
		bad[i/8] ^= 1 << (i % 8)
		if _, _, err := ReadFrame(bytes.NewReader(bad), nil, 1000); err == nil {
			t.Fatalf("bit %d wrong, and nobody notices", i)
		}
	}
}

func TestJSONFrames(t *testing.T) {
	var b bytes.Buffer
	want := Request{Change: &Change{Request: "r", Steps: []Step{{Op: OpAdd, Member: cluster.Member{ID: 4, Role: cluster.Voter}}}}}
	if err := WriteJSON(&b, KindRequest, want); err != nil {
		t.Fatal(err)
	}
	frame := b.Bytes()
	var got Request
	if err := ReadJSON(bytes.NewReader(frame), KindRequest, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v: %+v", err, got)
	}
	if err := ReadJSON(bytes.NewReader(frame), KindResponse, &got); !errors.Is(err, ErrCorruptFrame) {
		t.Fatalf("another kind: %v", err)
	}
	if err := WriteJSON(io.Discard, KindRequest, strings.Repeat("x", MaxControl)); err == nil {
		t.Fatal("wrote what nobody reads")
	}
	if err := ReadJSON(bytes.NewReader(AppendFrame(nil, KindRequest, []byte("{"))), KindRequest, &got); !errors.Is(err, ErrCorruptFrame) {
		t.Fatalf("half a document: %v", err)
	}
}

func TestOpening(t *testing.T) {
	hello := Hello{Protocol: Protocol, Cluster: "c", ClusterID: cluster.ClusterID{1}, Self: founder(1), Epoch: 3, Boots: []string{"c", "b"}, Stage: InCluster, Seeds: []string{"a:1"}}
	var b bytes.Buffer
	if err := WriteOpening(&b, hello, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadOpening(&b); err != nil || !reflect.DeepEqual(got, hello) {
		t.Fatalf("%v: %+v", err, got)
	}
	refusal := &Refusal{Code: RefusedRemoved, Reason: "gone", Index: 9, From: founder(2)}
	if err := WriteOpening(&b, hello, refusal); err != nil {
		t.Fatal(err)
	}
	var got *Refusal
	if _, err := ReadOpening(&b); !errors.As(err, &got) || !reflect.DeepEqual(got, refusal) {
		t.Fatalf("%v", err)
	}
	if _, err := ReadOpening(bytes.NewReader(AppendFrame(nil, KindOpening, []byte("{}")))); !errors.Is(err, ErrCorruptFrame) {
		t.Fatalf("neither: %v", err)
	}
}

func TestFollows(t *testing.T) {
	h := Hello{Epoch: 9, Boots: []string{"nine", "eight", "seven"}}
	for _, c := range []struct {
		run  Run
		want bool
	}{
		{Run{9, "nine"}, true},
		{Run{9, "other"}, false}, // a copy that counts alike
		{Run{10, "ten"}, false},  // an older image
		{Run{8, "eight"}, true},
		{Run{7, "other"}, false}, // a copy that was started more often since
		{Run{6, "other"}, true},  // too long ago to tell
		{Run{}, true},
	} {
		if got := h.Follows(c.run); got != c.want {
			t.Errorf("%+v follows %+v: %v, want %v", h.Run(), c.run, got, c.want)
		}
	}
	if !(&Hello{Epoch: 1}).Follows(Run{1, "one"}) || (&Hello{}).Follows(Run{1, "one"}) {
		t.Error("a Hello without boots goes by its epoch")
	}
}

func founder(b byte) Identity {
	inc := cluster.Incarnation{7: b, 15: 1}
	return Identity{Incarnation: inc, NodeID: inc.NodeID(), Name: "n", PeerAddr: "n:1"}
}

func sampleGenesis() Genesis {
	return Genesis{Protocol: Protocol, Cluster: "c", Founders: []Identity{founder(1), founder(2)}, Seeds: []string{"a:1", "b:1"}, Nonce: make([]byte, 16)}
}

func TestGenesis(t *testing.T) {
	g := sampleGenesis()
	enc := g.Encode()
	for range 10 {
		if again := sampleGenesis(); !bytes.Equal(again.Encode(), enc) {
			t.Fatal("the same genesis has two encodings")
		}
	}
	got, err := DecodeGenesis(enc)
	if err != nil || !reflect.DeepEqual(got, g) || !bytes.Equal(got.Encode(), enc) {
		t.Fatalf("%v: %+v", err, got)
	}
	golden(t, "a cluster ID", new(GenesisID(enc))[:], "1671dda7519d47ed9153118a33c2177f")
	m := g.Membership(GenesisID(enc))
	if v := m.Voters(); len(v) != 2 || m.Cluster != "c" || m.ID != GenesisID(enc) || !g.Has(founder(2).Incarnation) || g.Has(founder(3).Incarnation) {
		t.Fatalf("membership %+v", m)
	}
	other := sampleGenesis()
	other.Nonce[15] = 1
	if GenesisID(other.Encode()) == GenesisID(enc) {
		t.Fatal("two clusters with one ID")
	}
	for what, bad := range map[string]func(*Genesis){
		"no founders":       func(g *Genesis) { g.Founders = nil },
		"unsorted":          func(g *Genesis) { g.Founders[0], g.Founders[1] = g.Founders[1], g.Founders[0] },
		"a founder twice":   func(g *Genesis) { g.Founders[1] = g.Founders[0] },
		"no incarnation":    func(g *Genesis) { g.Founders[0] = Identity{NodeID: 1} },
		"somebody else's":   func(g *Genesis) { g.Founders[0].NodeID++ },
		"no node ID at all": func(g *Genesis) { g.Founders[0].NodeID = 0 },
	} {
		g := sampleGenesis()
		bad(&g)
		if _, err := DecodeGenesis(g.Encode()); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

func TestBallots(t *testing.T) {
	a, b := Ballot{Counter: 1, Node: cluster.Incarnation{9}}, Ballot{Counter: 2, Node: cluster.Incarnation{1}}
	c := Ballot{Counter: 2, Node: cluster.Incarnation{2}}
	for i, x := range []Ballot{{}, a, b, c} {
		for j, y := range []Ballot{{}, a, b, c} {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if x.Compare(y) != want {
				t.Errorf("%v and %v: %d", x, y, x.Compare(y))
			}
		}
	}
}
