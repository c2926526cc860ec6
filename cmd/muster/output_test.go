package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

const statusJSON = `{"cluster":"c","cluster_id":"00000000000000090000000000000000","leader":"0000000000000001","leader_name":"a","term":3,"joint":true,"from":"0000000000000002","stage":"member","members":[
{"id":"0000000000000001","name":"a","role":"voter","leader":true,"peer_addr":"h1:2380","client_addr":"h1:2379","zone":"","term":3,"match":12,"committed":12,"applied":12,"first":1,"log_bytes":10},
{"id":"0000000000000002","name":"bb","role":"voter","leader":false,"peer_addr":"h2:2380","client_addr":"h2:2379","zone":"z","term":0,"match":4,"committed":0,"applied":0,"first":0,"log_bytes":0,"err":"dial tcp: refused"},
{"id":"0000000000000003","name":"c","role":"learner","leader":false,"peer_addr":"h3:2380","client_addr":"","zone":"","term":3,"match":0,"committed":0,"applied":0,"first":0,"log_bytes":0,"snapshot_sent":2048,"snapshot_total":3145728}]}`

func TestStatusTable(t *testing.T) {
	e := answering(t, map[string]string{"GET /v1/status?cluster=1": statusJSON})
	code, out, stderr := runMuster(nil, "status", "--endpoint", "http://"+e+"/")
	want := `cluster  c  00000000000000090000000000000000
leader   a (0000000000000001)
term     3
a change of the voters is under way

ID                NAME  ROLE     CLIENTS  PEERS    MATCH  COMMITTED  APPLIED
0000000000000001  a     leader   h1:2379  h1:2380     12         12       12
0000000000000002  bb    voter    h2:2379  h2:2380      4          -        -  dial tcp: refused
0000000000000003  c     learner  -        h3:2380      -          -        -  gets a snapshot: 2.0 KiB of 3.0 MiB
`
	if code != exitOK || out != want || stderr != "" {
		t.Errorf("exit %d\n%s%s\nwant\n%s", code, out, stderr, want)
	}
}

// TestStatusOfAWipedMember: of two with one name it says which is which, whatever
// their IDs; and that nothing is changed automatically.
func TestStatusOfAWipedMember(t *testing.T) {
	e := answering(t, map[string]string{"GET /v1/status?cluster=1": `{"cluster":"c","cluster_id":"00000000000000090000000000000000","leader":"0000000000000009","leader_name":"a","term":3,"paused":"ask Ann","stage":"member","members":[
{"id":"0000000000000001","name":"b","role":"learner","peer_addr":"h2:2380","replaces":"0000000000000002"},
{"id":"0000000000000002","name":"b","role":"voter","peer_addr":"h2:2380","err":"no answer"},
{"id":"0000000000000009","name":"a","role":"voter","leader":true,"peer_addr":"h1:2380"}]}`})
	code, out, stderr := runMuster(nil, "status", "--endpoint", e)
	want := `cluster  c  00000000000000090000000000000000
leader   a (0000000000000009)
term     3
automatic changes of the members are paused: ask Ann

ID                NAME  ROLE     CLIENTS  PEERS    MATCH  COMMITTED  APPLIED
0000000000000009  a     leader   -        h1:2380      -          -        -
0000000000000002  b     voter    -        h2:2380      -          -        -  its disk is gone, 0000000000000001 takes its place; no answer
0000000000000001  b     learner  -        h2:2380      -          -        -  new disk, in place of 0000000000000002
`
	if code != exitOK || out != want || stderr != "" {
		t.Errorf("exit %d\n%s%s\nwant\n%s", code, out, stderr, want)
	}
}

func TestStatusJSON(t *testing.T) {
	e := answering(t, map[string]string{"GET /v1/status?cluster=1": statusJSON})
	code, out, _ := runMuster(nil, "status", "--output", "json", "--endpoint", e)
	for _, part := range []string{
		`"cluster_id": "00000000000000090000000000000000"`, `"leader": "0000000000000001"`, `"term": 3`, `"id": "0000000000000002"`,
		`"name": "bb"`, `"role": "learner"`, `"peer_addr": "h2:2380"`, `"client_addr": "h2:2379"`, `"match": 4`, `"applied": 12`,
	} {
		if !strings.Contains(out, part) {
			t.Errorf("exit %d, no %s in\n%s", code, part, out)
		}
	}
}

func TestMembers(t *testing.T) {
	e := answering(t, map[string]string{"GET /v1/status": `{"cluster_id":"00000000000000090000000000000000","leader":"0000000000000001","self":{"role":""},"members":[
{"id":"0000000000000001","name":"a","role":"voter","peer_addr":"h1:2380","client_addr":"h1:2379","zone":"z1"},
{"id":"0000000000000002","name":"b","role":"learner","peer_addr":"h2:2380"}]}`})
	_, out, stderr := runMuster(nil, "members", "--endpoint", e)
	want := `ID                NAME  ROLE     CLIENTS  PEERS    ZONE
0000000000000001  a     leader   h1:2379  h1:2380  z1
0000000000000002  b     learner  -        h2:2380  -
`
	if out != want {
		t.Errorf("%s%s\nwant\n%s", out, stderr, want)
	}
	if _, out, _ := runMuster(nil, "members", "--output", "json", "--endpoint", e); !strings.Contains(out, `"leader": true`) || !strings.Contains(out, `"role": "learner"`) {
		t.Errorf("as JSON:\n%s", out)
	}
}

func TestWhyOnANodeThatWaits(t *testing.T) {
	e := answering(t, map[string]string{
		"GET /v1/why?cluster=1": `{"node":"a","id":"0000000000000001","cluster":"c","cluster_id":"","stage":"blank","state":"forming","reasons":[
{"code":"seed_unreachable","text":"waiting for seed c: no answer","way_out":"start c"},{"code":"x","text":"b can't reach a"}]}`,
		"GET /v1/status?cluster=1": `{"cluster":"c","cluster_id":"","stage":"blank","members":[]}`,
		"GET /v1/status":           `{"cluster":"c","cluster_id":"","stage":"blank","self":{"role":""},"members":null}`,
	})
	want := "a at " + e + ` is in no cluster yet (it is to be in "c").

  - waiting for seed c: no answer
      way out: start c
  - b can't reach a
`
	for _, command := range []string{"why", "status", "members"} {
		if code, out, stderr := runMuster(nil, command, "--endpoint", e); code != exitOK || out != want {
			t.Errorf("muster %s: exit %d\n%s%s\nwant\n%s", command, code, out, stderr, want)
		}
	}
	if _, out, _ := runMuster(nil, "why", "--output", "json", "--endpoint", e); !strings.Contains(out, `"code": "seed_unreachable"`) {
		t.Errorf("as JSON:\n%s", out)
	}
}

func TestWhyOnAMemberThatWaitsForNothing(t *testing.T) {
	e := answering(t, map[string]string{"GET /v1/why?cluster=1": `{"node":"a","cluster":"c","cluster_id":"00000000000000090000000000000000","stage":"member","state":"follower","reasons":[],
"leader":"b","leader_reasons":[{"text":"d is on standby"}]}`})
	want := "a at " + e + ` is a member of "c" (00000000000000090000000000000000), now follower.
It waits for nothing.

The leader, b, says:

  - d is on standby
`
	if _, out, stderr := runMuster(nil, "why", "--endpoint", e); out != want {
		t.Errorf("%s%s\nwant\n%s", out, stderr, want)
	}
}

func TestVersion(t *testing.T) {
	if code, out, _ := runMuster(nil, "version"); code != exitOK || !strings.HasPrefix(out, "muster 0.") || !strings.Contains(out, "etcd API 3.7.") {
		t.Errorf("exit %d, %q", code, out)
	}
	e := answering(t, map[string]string{"GET /version": `{"etcdserver":"3.7.9-x","etcdcluster":"3.7.0","muster":"9.9"}`})
	if _, out, _ := runMuster(nil, "version", "--endpoint", e); out != "muster 9.9\netcd API 3.7.9-x\n" {
		t.Errorf("of a member: %q", out)
	}
}

func TestTextLog(t *testing.T) {
	var b bytes.Buffer
	log, err := newLogger(&b, "info", "text")
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("not shown")
	log.With("node", "n1").WithGroup("g").Info("n2 leads in term 3", "term", 3, "err", "two words", slog.Group("in", "a", ""))
	stamp, rest, _ := strings.Cut(b.String(), " INFO ")
	if _, err := time.Parse("2006-01-02 15:04:05.000", stamp); err != nil {
		t.Errorf("time %q: %v", stamp, err)
	}
	if want := " n2 leads in term 3 node=n1 g.term=3 g.err=\"two words\" g.in.a=\"\"\n"; rest != want {
		t.Errorf("%q, want %q", rest, want)
	}
}
