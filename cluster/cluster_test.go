package cluster

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
)

func TestNodeIDText(t *testing.T) {
	for _, id := range []NodeID{1, 0x0102, math.MaxUint64} {
		got, err := ParseNodeID(id.String())
		if err != nil || got != id || len(id.String()) != 16 {
			t.Errorf("%s: %v, %v", id, got, err)
		}
	}
	if id, err := ParseNodeID("a"); id != 10 || err != nil {
		t.Errorf("without leading zeros: %v, %v", id, err)
	}
	for _, bad := range []string{"", "0", "0000000000000000", "g", "-1", "11111111111111111"} {
		if id, err := ParseNodeID(bad); err == nil {
			t.Errorf("%q was read as %v", bad, id)
		}
	}
}

// Raft keeps 0 and the two highest numbers for itself.
func TestIncarnationNodeID(t *testing.T) {
	inc := func(high, low byte) (i Incarnation) {
		for k := range 8 {
			i[k], i[8+k] = high, low
		}
		return i
	}
	almost := inc(0xff, 2)
	almost[7] = 0xfe // math.MaxUint64 - 1
	for _, c := range []struct {
		inc  Incarnation
		want NodeID
	}{
		{inc(1, 2), 0x0101010101010101},
		{inc(0, 2), 0x0202020202020202},
		{inc(0xff, 2), 0x0202020202020202},
		{almost, 0x0202020202020202},
		{inc(0, 0xff), 1},
		{inc(0, 0), 1},
	} {
		if got := c.inc.NodeID(); got != c.want {
			t.Errorf("%s: %s, want %s", c.inc, got, c.want)
		}
	}
	if a, b := inc(1, 2), inc(1, 3); a.Compare(b) != -1 || b.Compare(a) != 1 || a.Compare(a) != 0 {
		t.Error("incarnations are out of order")
	}
}

func sample() Membership {
	m := Membership{Cluster: "c", ID: ClusterID{1, 2}}
	for _, id := range []NodeID{5, 1, 3, 2, 4} {
		m.Put(Member{ID: id, Incarnation: Incarnation{byte(id)}, Name: fmt.Sprint("n", uint64(id)), PeerAddr: "a:1", Role: Voter})
	}
	return m
}

func TestMembershipOps(t *testing.T) {
	m := sample()
	if v := m.Voters(); !slices.Equal(v, []NodeID{1, 2, 3, 4, 5}) {
		t.Fatalf("voters %v", v)
	}
	m.Put(Member{ID: 3, Name: "three", Role: Learner})
	if mem, ok := m.Member(3); !ok || mem.Name != "three" || len(m.Members) != 5 {
		t.Fatalf("replaced: %+v of %d", mem, len(m.Members))
	}
	if mem, ok := m.ByName("three"); !ok || mem.ID != 3 {
		t.Fatalf("by name: %+v", mem)
	}
	if v := m.Voters(); !slices.Equal(v, []NodeID{1, 2, 4, 5}) {
		t.Fatalf("voters %v", v)
	}
	m.Remove(4, 9)
	m.Remove(2, 10)
	m.Remove(2, 11) // gone already
	m.Remove(7, 12) // never there
	if _, ok := m.Member(2); ok || len(m.Members) != 3 || len(m.Leaving) != 2 {
		t.Fatalf("members %v, leaving %v", m.Members, m.Leaving)
	}
	want := []Tombstone{{ID: 2, Name: "n2", Index: 10}, {ID: 4, Name: "n4", Index: 9}}
	if !slices.Equal(m.Removed, want) {
		t.Fatalf("tombstones %v", m.Removed)
	}
	if tomb, ok := m.Tombstone(4); !ok || tomb != want[1] {
		t.Fatalf("tombstone %v", tomb)
	}
	if _, ok := m.Tombstone(1); ok {
		t.Fatal("a tombstone of a living member")
	}
	if _, ok := m.ByName("n2"); ok {
		t.Fatal("a removed member keeps its name")
	}
}

func TestCloneSharesNothing(t *testing.T) {
	m := sample()
	m.Remove(1, 2)
	m.Record(Outcome{Request: "r", Index: 3})
	before, _ := json.Marshal(m)
	c := m.Clone()
	c.Members[0].Name, c.Removed[0].Name, c.Leaving[0].Name, c.Outcomes[0].Request = "x", "x", "x", "x"
	if after, _ := json.Marshal(m); string(after) != string(before) {
		t.Fatalf("changed through its clone:\n%s", after)
	}
}

func TestOutcomes(t *testing.T) {
	var m Membership
	for i := range MaxOutcomes + 10 {
		m.Record(Outcome{Request: fmt.Sprint(i), Index: uint64(i)})
	}
	if len(m.Outcomes) != MaxOutcomes || m.Outcomes[0].Index != 10 {
		t.Fatalf("%d outcomes from %d on", len(m.Outcomes), m.Outcomes[0].Index)
	}
	if o, ok := m.Outcome(fmt.Sprint(MaxOutcomes + 9)); !ok || o.Index != MaxOutcomes+9 {
		t.Fatalf("the newest: %v", o)
	}
	if _, ok := m.Outcome("9"); ok {
		t.Fatal("one that was dropped is still there")
	}
}

func TestMembershipJSON(t *testing.T) {
	m := sample()
	m.Put(Member{ID: math.MaxUint64, Name: "big", Role: Learner, Zone: "z", ClientAddr: "c:1"})
	m.Remove(1, 7)
	m.Record(Outcome{Request: "r", Index: 8, Refused: "no"})
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var got Membership
	if err := json.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, m) {
		t.Fatalf("%v: got %+v, want %+v", err, got, m)
	}
	if again, _ := json.Marshal(got); string(again) != string(b) {
		t.Fatalf("encoded again:\n%s\nbefore:\n%s", again, b)
	}
	for _, bad := range []string{
		`{"members":[{"id":"xyz"}]}`, `{"members":[{"id":"0"}]}`, `{"members":[{"role":"king"}]}`,
		`{"members":[{"incarnation":"00"}]}`, `{"id":"zz000000000000000000000000000000"}`,
	} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

func TestRoles(t *testing.T) {
	for _, r := range []Role{0, Learner, Voter} {
		b, _ := r.MarshalText()
		var got Role = 77
		if err := got.UnmarshalText(b); err != nil || got != r {
			t.Errorf("%v: %v, %v", r, got, err)
		}
	}
	if s := Role(9).String(); s != "role(9)" {
		t.Error(s)
	}
}
