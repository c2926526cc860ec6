package main

import (
	"strings"
	"testing"

	"github.com/musterhq/muster/cluster"
)

// TestSettingsAreExplained: each setting has a line in the help.
func TestSettingsAreExplained(t *testing.T) {
	for _, key := range cluster.PolicyKeys() {
		if settings[key][0] == "" || settings[key][1] == "" {
			t.Errorf("nothing is said of %s", key)
		}
	}
	if len(settings) != len(cluster.PolicyKeys()) {
		t.Errorf("%d settings are explained, there are %d", len(settings), len(cluster.PolicyKeys()))
	}
}

func TestPolicyShow(t *testing.T) {
	e := answering(t, map[string]string{"GET /v1/policy": `{"settings":{"target-voters":"3","paused":""},"index":7}`})
	code, out, stderr := runMuster(nil, "policy", "--endpoint", e)
	for _, part := range []string{"target-voters  3\n", "floor          default: the target\n", "paused         default: not paused\n"} {
		if code != exitOK || !strings.Contains(out, part) {
			t.Errorf("exit %d, no %q in\n%s%s", code, part, out, stderr)
		}
	}
}

func TestPolicySet(t *testing.T) {
	e := answering(t, map[string]string{"POST /v1/policy": `{"done":"the policy was changed: target-voters to \"3\""}`})
	code, out, stderr := runMuster(nil, "policy", "set", "target-voters=3", "floor=", "--endpoint", e)
	if code != exitOK || out != "the policy was changed: target-voters to \"3\"\n" {
		t.Errorf("exit %d: %s%s", code, out, stderr)
	}
	// A floor that is fine with the target that the cluster has is for it to judge.
	if code, _, stderr := runMuster(nil, "policy", "set", "floor=7", "--endpoint", e); code != exitOK {
		t.Errorf("floor=7: exit %d: %s", code, stderr)
	}
	for _, c := range []struct {
		args, says string
	}{
		{"policy set", "which setting?"},
		{"policy set target-voters", "want each setting once, as KEY=VALUE"},
		{"policy set floor=1 floor=2", "want each setting once"},
		{"policy set fish=1", `unknown setting "fish": the settings are dead-after, floor`},
		{"policy set target-voters=4", "want an odd number"},
		{"policy set dead-after=soon", `"soon" is no duration: want one such as 90s`},
		{"pause --because=", "say why"},
	} {
		code, _, stderr := runMuster(nil, append(strings.Fields(c.args), "--endpoint", e)...)
		if code != exitUsage || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit %d: %s", c.args, code, stderr)
		}
	}
}

func TestPauseAndResume(t *testing.T) {
	e := answering(t, map[string]string{"POST /v1/policy": `{"done":"done"}`})
	for _, args := range [][]string{{"pause"}, {"pause", "--because", "a move"}, {"resume"}} {
		if code, out, stderr := runMuster(nil, append(args, "--endpoint", e)...); code != exitOK || out != "done\n" {
			t.Errorf("%v: exit %d: %s%s", args, code, out, stderr)
		}
	}
}

const planJSON = `{"if":"fail b","changes":[{"text":"swap d for b","why":[{"code":"dead","text":"b has been silent for 30s"}],"promote":["0000000000000004"],"demote":["0000000000000002"]}],
"waiting":[{"code":"voter_silent","text":"b doesn't answer","way_out":"start it"}],
"before":{"voters":3,"quorum":2,"active":2,"survives":0,"learners":1},"after":{"voters":3,"quorum":2,"active":3,"survives":1,"learners":1}}`

func TestPlan(t *testing.T) {
	e := answering(t, map[string]string{"GET /v1/plan?if=fail+b": planJSON,
		"GET /v1/plan":                 `{"changes":[],"waiting":[],"before":{"voters":1,"quorum":1,"active":1,"survives":0,"learners":0},"after":{}}`,
		"GET /v1/plan?if=remove+a":     `{"if":"remove a","refused":{"code":"below_floor","text":"too few would be left","way_out":"add a member first"},"before":{"voters":3,"quorum":2,"active":1,"survives":-1},"after":{}}`,
		"GET /v1/plan?if=explode+them": `400|{"code":"invalid","error":"explode is not understood","outcome":"did_not_happen"}`,
	})
	code, out, stderr := runMuster(nil, "plan", "--if", "fail b", "--endpoint", e)
	want := `If:    fail b
Now:   3 voters, 1 learner; a quorum is 2, 2 answer: no failure would be survived

1. swap d for b
     b has been silent for 30s

Then:  3 voters, 1 learner; a quorum is 2, 3 answer: 1 more failure would be survived

What is waited for:

  - b doesn't answer
      way out: start it
`
	if code != exitOK || out != want {
		t.Errorf("exit %d\n%s%s\nwant\n%s", code, out, stderr, want)
	}
	_, out, _ = runMuster(nil, "plan", "--endpoint", e)
	if want := "Now:   1 voter, 0 learners; a quorum is 1, 1 answer: no failure would be survived\n\nNothing would be changed.\n"; out != want {
		t.Errorf("%s\nwant\n%s", out, want)
	}
	_, out, _ = runMuster(nil, "plan", "--if", "remove a", "--endpoint", e)
	if want := "If:    remove a\nNow:   3 voters, 0 learners; a quorum is 2, 1 answer: too few\n\nThis would be refused: too few would be left\n  way out: add a member first\n"; out != want {
		t.Errorf("%s\nwant\n%s", out, want)
	}
	if _, out, _ = runMuster(nil, "plan", "--if", "fail b", "--output", "json", "--endpoint", e); !strings.Contains(out, `"survives": 1`) {
		t.Errorf("as JSON:\n%s", out)
	}
	if code, _, stderr := runMuster(nil, "plan", "--if", "explode them", "--endpoint", e); code != exitUsage || !strings.Contains(stderr, "explode is not understood") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
