package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
)

func (r *rig) say(t *testing.T, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest("POST", "http://"+r.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r.send(t, req)
}

func TestPolicyEndpoint(t *testing.T) {
	r := newRig(t)
	r.node.set(func(st *cluster.Status) { st.Policy = cluster.Policy{TargetVoters: 7} })
	if code, body := r.do(t, "GET", "/v1/policy"); code != 200 || !strings.Contains(body, `"target-voters":"7"`) || !strings.Contains(body, `"floor":""`) {
		t.Errorf("%d %s", code, body)
	}
	if code, body := r.say(t, "/v1/policy", `{"settings":{"floor":"3"},"why":"so"}`); code != 200 || !strings.Contains(body, `floor to \"3\"`) {
		t.Errorf("%d %s", code, body)
	}
	if got := strings.Join(r.node.calls, ";"); got != "set map[floor:3] because so" {
		t.Errorf("calls: %s", got)
	}
	// What can't be is refused before the cluster is asked.
	for body, says := range map[string]string{
		"":                            "want a JSON object",
		"{}":                          "want a JSON object",
		`{"settings":{"floor":"9"}}`:  "want 1 to target-voters (7)",
		`{"settings":{"fish":"9"}}`:   "unknown setting",
		`{"settings":{"floor":9}}`:    "want a JSON object",
		`{"settings":{"floor":"-1"}}`: "want a positive number",
	} {
		if code, got := r.say(t, "/v1/policy", body); code != 400 || !strings.Contains(got, says) || !strings.Contains(got, "did_not_happen") {
			t.Errorf("%s: %d %s", body, code, got)
		}
	}
	if len(r.node.calls) != 1 {
		t.Errorf("calls: %v", r.node.calls)
	}
}

func TestPlanEndpoint(t *testing.T) {
	r := newRig(t)
	if code, body := r.do(t, "GET", "/v1/plan?if=remove+b"); code != 200 || !strings.Contains(body, `"if":"remove b"`) {
		t.Errorf("%d %s", code, body)
	}
	r.node.opErr = fmt.Errorf("%w: explode is not understood", muster.ErrConfig)
	if code, body := r.do(t, "GET", "/v1/plan?if=explode"); code != 400 || !strings.Contains(body, "explode") {
		t.Errorf("%d %s", code, body)
	}
	// A leader that is not one any more doesn't ask itself.
	r.node.opErr = muster.ErrNotLeader
	if code, body := r.do(t, "GET", "/v1/plan"); code != 503 || !strings.Contains(body, "no_leader") {
		t.Errorf("%d %s", code, body)
	}
}

// TestPlanIsAskedOfTheLeader: another member passes the question on, and the answer back.
func TestPlanIsAskedOfTheLeader(t *testing.T) {
	leader, r := newRig(t), newRig(t)
	r.node.set(func(st *cluster.Status) {
		st.Self, st.Leader = st.Members[1].Member, st.Members[0].ID
		st.Members[0].ClientAddr = leader.addr
	})
	r.node.opErr = muster.ErrNotLeader
	if code, body := r.do(t, "GET", "/v1/plan?if=remove+b"); code != 200 || !strings.Contains(body, `"if":"remove b"`) {
		t.Errorf("%d %s", code, body)
	}
	leader.node.opErr = fmt.Errorf("%w: explode is not understood", muster.ErrConfig)
	if code, body := r.do(t, "GET", "/v1/plan?if=explode"); code != 502 || !strings.Contains(body, "explode is not understood") || !strings.Contains(body, `"code":"invalid"`) {
		t.Errorf("%d %s", code, body)
	}
}
