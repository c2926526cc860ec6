package cluster

import (
	"reflect"
	"testing"
)

func announcing() Membership {
	var m Membership
	m.Put(Member{ID: 5, Name: "a", PeerAddr: "a:1", Role: Voter})
	m.Announce(Announced{ID: 9, PeerURLs: []string{"http://b:1", "https://B.example:2"}, Learner: true})
	m.Announce(Announced{ID: 7, PeerURLs: []string{"http://c:1"}})
	return m
}

func TestAnnouncements(t *testing.T) {
	m := announcing()
	if m.Announced[0].ID != 7 || m.Announced[1].ID != 9 {
		t.Errorf("not in the order of IDs: %+v", m.Announced)
	}
	for addr, want := range map[string]NodeID{"a:1": 5, "A:1": 5, "b.Example:2": 9, "b:2": 0, "": 0} {
		if got, taken := m.At(addr, 0); got != want || taken != (want != 0) {
			t.Errorf("at %q is %v, want %v", addr, got, want)
		}
	}
	if _, taken := m.At("b:1", 9); taken {
		t.Error("its own address is taken")
	}
	copied := m.Clone()
	copied.Announced[1].PeerURLs[0] = "http://x:1"
	copied.Withdraw(7)
	if !reflect.DeepEqual(m, announcing()) {
		t.Errorf("a change of a copy made it %+v", m)
	}
}

// TestAdmit: what a newcomer says of itself as a member isn't believed.
func TestAdmit(t *testing.T) {
	m := announcing()
	got := m.Admit(Member{ID: 1, Name: "b", PeerAddr: "b.example:2", Role: Voter, Alias: 5, Wanted: Voter, MovesTo: "z:1"})
	if want := (Member{ID: 1, Name: "b", PeerAddr: "b.example:2", Role: Learner, Alias: 9, Wanted: Learner}); got != want || len(m.Announced) != 1 {
		t.Errorf("admitted as %+v, %+v left", got, m.Announced)
	}
	if known, _ := m.Known(9); known != got || got.KnownAs() != 9 || !got.Awaits() {
		t.Errorf("by its alias it is %+v", known)
	}
	again := m.Admit(Member{ID: 2, Name: "b", PeerAddr: "b.example:2"})
	if again.Alias != 9 || again.Wanted != Learner {
		t.Errorf("in place of it, one is %+v", again)
	}
	stranger := m.Admit(Member{ID: 3, Name: "d", PeerAddr: "d:1"})
	if stranger.Alias != 0 || stranger.Wanted != 0 || stranger.KnownAs() != 3 || !stranger.Awaits() {
		t.Errorf("one that nobody announced is %+v", stranger)
	}
}

// TestReformDropsAnnouncements: they were made to a cluster that is no more. The
// one that is left votes.
func TestReformDropsAnnouncements(t *testing.T) {
	m := announcing()
	only := m.Admit(Member{ID: 1, Name: "b", PeerAddr: "b:1"})
	m.Reform(only, 1, 20)
	if got, _ := m.Member(1); len(m.Announced) != 0 || len(m.Members) != 1 || got.Role != Voter || got.Wanted == Learner || got.Alias != 9 {
		t.Errorf("left: %+v", m)
	}
}
