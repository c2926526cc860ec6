package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/cluster"
)

func FuzzReadFrame(f *testing.F) {
	f.Add(AppendFrame(nil, KindMessages, []byte("abc")), 10)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 5}, MaxFrame)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		limit = max(0, min(limit, 1<<16))
		k, payload, err := ReadFrame(bytes.NewReader(b), nil, limit)
		if err != nil {
			return
		}
		if len(payload) > limit || cap(payload) > limit+1 {
			t.Fatalf("%d bytes in %d, limit %d", len(payload), cap(payload), limit)
		}
		if again := AppendFrame(nil, k, payload); !bytes.HasPrefix(b, again) {
			t.Fatalf("%x was read as what is written %x", b, again)
		}
	})
}

func FuzzDecodeBatch(f *testing.F) {
	f.Add(mustBatch(f, sampleBatch()))
	f.Add([]byte{itemForward, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := DecodeBatch(b)
		if err != nil {
			if !errors.Is(err, ErrCorruptBatch) {
				t.Fatal(err)
			}
			return
		}
		held := 0
		for _, x := range got.Forwards {
			for _, c := range x.Cmds {
				held += len(c) + 1
			}
		}
		for _, m := range got.Raft {
			held += min(1, proto.Size(m))
		}
		if held > len(b) {
			t.Fatalf("%d bytes out of %d", held, len(b))
		}
		again, err := DecodeBatch(mustBatch(t, got))
		if err != nil || !equalBatch(again, got) {
			t.Fatalf("%v: %+v, again %+v", err, got, again)
		}
	})
}

func FuzzReadCommands(f *testing.F) {
	f.Add(AppendGroup([]byte{byte(EntryCommands)}, RequestID{1, 2}, [][]byte{[]byte("a"), nil}))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		bytesOut, again := 0, []byte{byte(EntryCommands)}
		var ids, idsAgain []RequestID
		err := ReadCommands(b, func(id RequestID, cmd []byte) {
			bytesOut += len(cmd) + 1
			ids = append(ids, id)
			again = AppendGroup(again, id, [][]byte{cmd})
		})
		if bytesOut > len(b) {
			t.Fatalf("%d bytes of commands in %d", bytesOut, len(b))
		}
		if err != nil {
			return
		}
		if err := ReadCommands(again, func(id RequestID, _ []byte) { idsAgain = append(idsAgain, id) }); err != nil || !reflect.DeepEqual(ids, idsAgain) {
			t.Fatalf("%v: %v, again %v", err, ids, idsAgain)
		}
	})
}

func FuzzDecodeChange(f *testing.F) {
	f.Add(EncodeChange(Change{Request: "r", Steps: []Step{{Op: OpAdd, Member: cluster.Member{ID: 1, Role: cluster.Learner}}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeChange(b)
		if err != nil {
			return
		}
		again, err := DecodeUpdate(EncodeUpdate(c))
		if err != nil || !bytes.Equal(EncodeChange(again), EncodeChange(c)) {
			t.Fatalf("%v: %+v, again %+v", err, c, again)
		}
	})
}

func FuzzDecodeGenesis(f *testing.F) {
	f.Add(sampleGenesis().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := DecodeGenesis(b)
		if err != nil {
			return
		}
		again, err := DecodeGenesis(g.Encode())
		if err != nil || !bytes.Equal(again.Encode(), g.Encode()) {
			t.Fatalf("%v: %+v, again %+v", err, g, again)
		}
	})
}

func FuzzReadOpening(f *testing.F) {
	f.Add([]byte(`{"hello":{"protocol":1}}`))
	f.Add([]byte(`{"refusal":{"code":"busy"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ReadOpening(bytes.NewReader(AppendFrame(nil, KindOpening, b)))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := WriteOpening(&out, h, nil); err != nil {
			return // it grew above the limit
		}
		if _, err := ReadOpening(&out); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzControl reads the JSON frames of a connection's beginning and of its
// questions: what was understood can be said again, and is understood so again.
func FuzzControl(f *testing.F) {
	for _, v := range []any{
		Hello{Protocol: Protocol, Purpose: ForControl, Cluster: "c", Self: founder(1), Epoch: 3, Stage: Blank, Seeds: []string{"a:1"}},
		Request{Prepare: &Prepare{Ballot: Ballot{Counter: 1}, Founders: []Identity{founder(1)}}},
		Request{Join: &Join{Self: founder(2), Cluster: "c"}},
		Response{Join: &JoinReply{Status: JoinDone, Membership: &cluster.Membership{Cluster: "c"}}},
		Response{Promise: &Promise{Genesis: []byte("g"), Code: "ballot_low"}},
	} {
		b, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"self":{"incarnation":"00","node_id":"0"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		again(t, KindHello, b, new(Hello), new(Hello))
		again(t, KindRequest, b, new(Request), new(Request))
		again(t, KindResponse, b, new(Response), new(Response))
	})
}

// again reads b into v, writes that, and reads it into w.
func again(t *testing.T, kind Kind, b []byte, v, w any) {
	t.Helper()
	if err := ReadJSON(bytes.NewReader(AppendFrame(nil, kind, b)), kind, v); err != nil {
		if !errors.Is(err, ErrCorruptFrame) {
			t.Fatalf("unsorted error: %v", err)
		}
		return
	}
	var said bytes.Buffer
	if err := WriteJSON(&said, kind, v); err != nil {
		t.Fatal(err)
	}
	first := bytes.Clone(said.Bytes())
	if err := ReadJSON(&said, kind, w); err != nil {
		t.Fatalf("%q can't be read again: %v", first, err)
	}
	var second bytes.Buffer
	if err := WriteJSON(&second, kind, w); err != nil || !bytes.Equal(first, second.Bytes()) {
		t.Fatalf("%q, and then %q, %v", first, second.Bytes(), err)
	}
}

// FuzzQuestions: what is read of a question or an answer is what was written.
func FuzzQuestions(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00why?"))
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x00\x02no"))
	f.Fuzz(func(t *testing.T, b []byte) {
		payload := func(frame []byte) []byte {
			_, p, err := ReadFrame(bytes.NewReader(frame), nil, MaxFrame)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		if q, err := DecodeQuestion(b); err == nil && !bytes.Equal(payload(AppendQuestion(nil, q)), b) {
			t.Fatalf("%x is question %+v", b, q)
		}
		if a, err := DecodeAnswer(b); err == nil && !bytes.Equal(payload(AppendAnswer(nil, a)), b) {
			t.Fatalf("%x is answer %+v", b, a)
		}
	})
}
