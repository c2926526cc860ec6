package cluster

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

var allSet = map[string]string{
	"target-voters": "3", "floor": "1", "stability": "5s", "dead-after": "1m0s", "remove-after": "never",
	"join-expiry": "10m0s", "leader-zones": "a,b", "paused": "by hand",
}

// TestPolicySettings: each setting can be set, read, written as JSON, and be
// brought back to its default.
func TestPolicySettings(t *testing.T) {
	p, err := Policy{}.Edited(allSet)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range PolicyKeys() {
		if got := p.Get(key); got != allSet[key] || got == "" {
			t.Errorf("%s is %q, was set to %q", key, got, allSet[key])
		}
	}
	b, err := json.Marshal(p)
	var again Policy
	if err != nil || json.Unmarshal(b, &again) != nil || !reflect.DeepEqual(p, again) {
		t.Fatalf("%s, %v: %+v", b, err, again)
	}
	none := map[string]string{}
	for _, key := range PolicyKeys() {
		none[key] = ""
	}
	if p, err = p.Edited(none); err != nil || !reflect.DeepEqual(p, Policy{}) {
		t.Fatalf("all at their defaults: %+v, %v", p, err)
	}
}

// TestPolicyFaults: all faults are told at once, and nothing is changed.
func TestPolicyFaults(t *testing.T) {
	p := Policy{LeaderZones: []string{"a"}}
	_, err := p.Edited(map[string]string{"target-voters": "4", "dead-after": "soon", "stability": "never", "leader-zones": "x,x", "fish": "1"})
	if err == nil {
		t.Fatal("was taken")
	}
	for _, part := range []string{"target-voters 4", `"soon" is no duration`, "stability never", `"x,x"`, `unknown setting "fish"`, "remove-after"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v doesn't say %q", err, part)
		}
	}
	if _, err := p.Edited(map[string]string{"target-voters": "3", "floor": "5"}); err == nil {
		t.Error("a floor above the target was taken")
	}
	for _, bad := range []Policy{
		{TargetVoters: 4}, {TargetVoters: -1}, {Floor: -1}, {Floor: 6}, {Stability: Never},
		{LeaderZones: []string{"a", "a"}}, {LeaderZones: []string{""}}, {LeaderZones: []string{"a", ""}}, {LeaderZones: []string{"a,b"}},
	} {
		if bad.Validate() == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if !reflect.DeepEqual(p, Policy{LeaderZones: []string{"a"}}) {
		t.Errorf("changed: %+v", p)
	}
}

// TestPolicyOr: what one leaves unsaid, the other says.
func TestPolicyOr(t *testing.T) {
	p := Policy{TargetVoters: 3}.Or(Policy{TargetVoters: 5, Floor: 1, LeaderZones: []string{"a"}})
	if want := (Policy{TargetVoters: 3, Floor: 1, LeaderZones: []string{"a"}}); !reflect.DeepEqual(p, want) {
		t.Errorf("%+v, want %+v", p, want)
	}
}
