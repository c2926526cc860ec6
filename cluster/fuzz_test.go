package cluster

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzMembership: what was read is written, and read again, as the same. It is
// in snapshots, in their messages and in answers to joins.
func FuzzMembership(f *testing.F) {
	m := Membership{Cluster: "c", ID: ClusterID{1}}
	m.Put(Member{ID: 1, Incarnation: Incarnation{2}, Name: "a", PeerAddr: "a:1", Role: Voter})
	m.Put(Member{ID: 2, Name: "b", Role: Learner})
	m.Remove(2, 7)
	m.Announce(Announced{ID: 3, PeerURLs: []string{"http://c:1"}, Learner: true, Index: 6, At: 1})
	m.Admit(Member{ID: 4, Name: "d", PeerAddr: "C:1"})
	m.Announce(Announced{ID: 5, PeerURLs: []string{"http://e:1", "https://e:2"}})
	m.Record(Outcome{Request: "r", Index: 7})
	b, err := json.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"members":[{"id":"0","role":"king"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var first, second Membership
		if json.Unmarshal(b, &first) != nil {
			return
		}
		said, err := json.Marshal(first)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(said, &second); err != nil {
			t.Fatalf("%s can't be read again: %v", said, err)
		}
		if again, err := json.Marshal(second); err != nil || !bytes.Equal(said, again) {
			t.Fatalf("%s, and then %s, %v", said, again, err)
		}
	})
}

// FuzzIDs: every text that is an ID is written as one, and only as that.
func FuzzIDs(f *testing.F) {
	f.Add("00000000000000a1")
	f.Add("000102030405060708090a0b0c0d0e0f")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseNodeID(s); err == nil {
			if again, err := ParseNodeID(id.String()); err != nil || again != id || id == 0 {
				t.Fatalf("%q is %s, and that is %s, %v", s, id, again, err)
			}
		}
		var i, again Incarnation
		if i.UnmarshalText([]byte(s)) == nil {
			text, err := i.MarshalText()
			if err != nil || again.UnmarshalText(text) != nil || again != i {
				t.Fatalf("%q is %s, and that is %s, %v", s, i, again, err)
			}
			if id := i.NodeID(); id == 0 || id > 1<<64-3 {
				t.Fatalf("%s has the node ID %s, which raft keeps for itself", i, id)
			}
		}
	})
}
