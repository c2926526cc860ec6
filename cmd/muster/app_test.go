package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/internal/loopback"
	"github.com/musterhq/muster/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runMuster carries out one command line in this process.
func runMuster(env []string, args ...string) (code exitCode, stdout, stderr string) {
	var out, err bytes.Buffer
	a := &app{in: strings.NewReader("from standard input"), out: &out, err: &err, environ: env}
	code = a.run(args)
	return code, out.String(), err.String()
}

// answering is an HTTP endpoint with fixed answers by "METHOD path".
func answering(t *testing.T, answers map[string]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := answers[r.Method+" "+r.URL.RequestURI()]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if code, rest, found := strings.Cut(a, "|"); found {
			var n int
			fmt.Sscan(code, &n)
			w.WriteHeader(n)
			a = rest
		}
		fmt.Fprint(w, a)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// nobody is an address that nobody listens on.
func nobody(t *testing.T) string {
	t.Helper()
	return loopback.Addrs(t, 1)[0]
}

func TestWrongUsageExits2AndSaysHow(t *testing.T) {
	for _, tt := range []struct{ line, says string }{
		{"serve --no-such-flag", "unknown flag: --no-such-flag"},
		{"serve extra", "takes no arguments"},
		{"serve --election-timeout soon", "invalid argument"},
		{"serve --log-level loud", `--log-level "loud": want debug, info, warn or error`},
		{"serve --log-format xml", `--log-format "xml": want text or json`},
		{"serve --config /no/such/file", "/no/such/file"},
		{"serve --sedes a:1", "Run `muster serve --help`"},
		{"frobnicate", `unknown command "frobnicate"`},
		{"frobnicate", "Run `muster --help`"},
		{"get", "usage: muster get KEY"},
		{"put k", "usage: muster put KEY VALUE"},
		{"get k --limit -1", "can't be negative"},
		{"status --endpoint nowhere", `--endpoint "nowhere" is not HOST:PORT`},
		{"status --output yaml", `--output "yaml": want table or json`},
		{"status --timeout 0s", "want a positive time"},
		{"remove", "usage: muster remove ID|NAME"},
		{"leave --endpoint a:1,b:2", "name one"},
		{"abandon-genesis", "--gone"},
		{"demo --members 0", "want 1 to 9"},
	} {
		code, _, stderr := runMuster(nil, strings.Fields(tt.line)...)
		if code != exitUsage || !strings.Contains(stderr, tt.says) || strings.Contains(stderr, "goroutine") {
			t.Errorf("muster %s: exit %d, %s; want 2 and %q", tt.line, code, stderr, tt.says)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code exitCode
	}{
		{nil, 0},
		{errors.New("x"), 1},
		{fmt.Errorf("start: %w", muster.ErrConfig), 2},
		{fmt.Errorf("node: %w", muster.ErrRemoved), 3},
		{fmt.Errorf("put: %w", muster.ErrUnknownOutcome), 4},
		{&server.Error{Outcome: server.Unknown}, 4},
		{&server.Error{Outcome: server.DidNotHappen}, 1},
		{fmt.Errorf("open: %w", muster.ErrData), 5},
		{fmt.Errorf("node: %w", muster.ErrDisk), 6},
		{&hinted{usage("x"), "hint"}, 2},
	} {
		if got := codeOf(tt.err); got != tt.code {
			t.Errorf("%v: exit %d, want %d", tt.err, got, tt.code)
		}
	}
	_, out, _ := runMuster(nil, "help", "exit-codes")
	for _, c := range exitCodes {
		if !strings.Contains(out, fmt.Sprintf("  %d  %s\n", c.code, c.text)) {
			t.Errorf("exit code %d is not documented in %q", c.code, out)
		}
	}
}

func TestUnreachableEndpointSaysWhereAndWhatToDo(t *testing.T) {
	gone := nobody(t)
	for _, line := range []string{"status", "members", "why", "leave", "abandon-genesis --gone b", "remove x", "promote x", "transfer", "get k", "put k v", "del k"} {
		args := append(strings.Fields(line), "--endpoint", gone)
		code, out, stderr := runMuster(nil, args...)
		if code != exitFailed || out != "" || !strings.Contains(stderr, "no muster answers at "+gone) || !strings.Contains(stderr, "muster serve") {
			t.Errorf("muster %s: exit %d, %q, %q", line, code, out, stderr)
		}
	}
}

func TestEndpointsAreTriedInTurn(t *testing.T) {
	gone := nobody(t)
	live := answering(t, map[string]string{
		"POST /v1/members/b/remove":  `{"done":"b was removed"}`,
		"POST /v1/members/b/promote": `{"done":"b may vote"}`,
		"GET /v1/why?cluster=1":      `{"node":"a","cluster":"c","stage":"member"}`,
	})
	code, out, stderr := runMuster(nil, "remove", "b", "--endpoint", gone, "--endpoint", live)
	if code != exitOK || out != "b was removed\n" {
		t.Errorf("exit %d, %q, %q", code, out, stderr)
	}
	if code, out, stderr := runMuster(nil, "promote", "b", "--endpoint", live); code != exitOK || out != "b may vote\n" {
		t.Errorf("promote: exit %d, %q, %q", code, out, stderr)
	}
	if code, _, stderr := runMuster([]string{"MUSTER_ENDPOINT=" + gone + "," + live}, "why"); code != exitOK {
		t.Errorf("from the environment: exit %d, %q", code, stderr)
	}
	// A refusal is an answer: nobody else is asked.
	refusing := answering(t, map[string]string{"POST /v1/leave": `409|{"code":"refused","error":"leave: refused: no quorum would be left","outcome":"did_not_happen"}`})
	code, _, stderr = runMuster(nil, "leave", "--endpoint", refusing)
	if code != exitFailed || stderr != "muster: leave: refused: no quorum would be left\n" {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

func TestUnknownOutcomeExits4(t *testing.T) {
	e := answering(t, map[string]string{"POST /v1/transfer?to=b": `504|{"code":"unknown_outcome","error":"transfer: outcome unknown","outcome":"unknown"}`})
	if code, _, stderr := runMuster(nil, "transfer", "b", "--endpoint", e); code != exitUnknown {
		t.Errorf("told so: exit %d, %q", code, stderr)
	}
	// A connection that breaks after the request was sent.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if c, err := l.Accept(); err == nil {
			c.Read(make([]byte, 1))
			c.Close()
		}
	}()
	code, _, stderr := runMuster(nil, "transfer", "--endpoint", l.Addr().String())
	if code != exitUnknown || !strings.Contains(stderr, "nobody knows") {
		t.Errorf("broken off: exit %d, %q", code, stderr)
	}
	l.Close()
	<-done
}

func TestPlainTextAtAPortThatSpeaksTLS(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, server.SpeaksTLS+": use https://", http.StatusBadRequest)
	}))
	defer s.Close()
	addr := s.Listener.Addr().String()
	if code, _, stderr := runMuster(nil, "status", "--endpoint", addr); code != exitFailed || !strings.Contains(stderr, "--endpoint https://"+addr) {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

func TestSomethingElseAtTheEndpoint(t *testing.T) {
	e := answering(t, map[string]string{"GET /v1/why?cluster=1": "<html>"})
	if code, _, stderr := runMuster(nil, "why", "--endpoint", e); code != exitFailed || !strings.Contains(stderr, "is no muster") {
		t.Errorf("exit %d, %q", code, stderr)
	}
	if code, _, stderr := runMuster(nil, "status", "--endpoint", e); code != exitFailed || !strings.Contains(stderr, "is no muster") {
		t.Errorf("exit %d, %q", code, stderr)
	}
	if code, _, stderr := runMuster(nil, "get", "k", "--endpoint", e, "--timeout", "2s"); code != exitFailed || !strings.Contains(stderr, "no muster answers") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

// fakeKV answers gRPC.
type fakeKV struct {
	pb.UnimplementedKVServer
	err  error
	puts int
	last *pb.RangeRequest
}

func (k *fakeKV) Put(_ context.Context, r *pb.PutRequest) (*pb.PutResponse, error) {
	k.puts++
	if string(r.Value) == "from standard input" {
		return &pb.PutResponse{Header: &pb.ResponseHeader{Revision: 99}}, k.err
	}
	return &pb.PutResponse{Header: &pb.ResponseHeader{Revision: 7}}, k.err
}

func (k *fakeKV) DeleteRange(_ context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	n := int64(1)
	if string(r.RangeEnd) == "l" {
		n = 3
	}
	return &pb.DeleteRangeResponse{Header: &pb.ResponseHeader{Revision: 8}, Deleted: n}, k.err
}

func (k *fakeKV) Range(_ context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	k.last = r
	if string(r.Key) == "none" {
		return &pb.RangeResponse{}, k.err
	}
	return &pb.RangeResponse{Header: &pb.ResponseHeader{Revision: 9}, Count: 3, More: true, Kvs: []*mvccpb.KeyValue{
		{Key: []byte("k"), Value: []byte("a value"), CreateRevision: 2, ModRevision: 7, Version: 3},
		{Key: []byte("k\xff"), Value: []byte("two\nlines"), CreateRevision: 8, ModRevision: 8, Version: 1},
	}}, k.err
}

func servingKV(t *testing.T) (*fakeKV, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k, s := &fakeKV{}, grpc.NewServer()
	pb.RegisterKVServer(s, k)
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return k, l.Addr().String()
}

func TestKeys(t *testing.T) {
	k, e := servingKV(t)
	for _, tt := range []struct{ line, out, err string }{
		{"put k v", "written at revision 7\n", ""},
		{"put k -", "written at revision 99\n", ""},
		{"put k v --output json", "{\n  \"revision\": 7\n}\n", ""},
		{"del k", "1 deleted\n", ""},
		{"del k --prefix", "3 deleted\n", ""},
		{"get none", "", "no such key\n"},
		{"get k", `KEY      VALUE         REVISION  VERSION
k        a value              7        3
"k\xff"  "two\nlines"         8        1
`, "2 of 3 keys shown\n"},
		{"get k --output json", `{
  "revision": 9,
  "count": 3,
  "more": true,
  "kvs": [
    {
      "key": "k",
      "value": "a value",
      "create_revision": 2,
      "mod_revision": 7,
      "version": 3
    },
    {
      "key": "",
      "key_base64": "a/8=",
      "value": "two\nlines",
      "create_revision": 8,
      "mod_revision": 8,
      "version": 1
    }
  ]
}
`, ""},
	} {
		code, out, stderr := runMuster(nil, append(strings.Fields(tt.line), "--endpoint", e)...)
		if code != exitOK || out != tt.out || stderr != tt.err {
			t.Errorf("muster %s: exit %d\n%s%s\nwant\n%s%s", tt.line, code, out, stderr, tt.out, tt.err)
		}
	}
	runMuster(nil, "get", "k", "--prefix", "--rev", "5", "--limit", "6", "--serializable", "--endpoint", e)
	if r := k.last; string(r.Key) != "k" || string(r.RangeEnd) != "l" || r.Revision != 5 || r.Limit != 6 || !r.Serializable {
		t.Errorf("get --prefix asked for %v", r)
	}
	runMuster(nil, "get", "", "--prefix", "--endpoint", e)
	if r := k.last; string(r.Key) != "\x00" || string(r.RangeEnd) != "\x00" {
		t.Errorf("get of everything asked for %v", r)
	}
}

func TestFailedWritesAreToldApart(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code exitCode
		says string
	}{
		{rpctypes.ErrGRPCTimeout, exitUnknown, "nobody knows"},
		{status.Error(codes.Unavailable, "error reading from server: EOF"), exitUnknown, "nobody knows"},
		{status.Error(codes.DeadlineExceeded, "context deadline exceeded"), exitUnknown, "nobody knows"},
		{status.Error(codes.Internal, "muster: applied, but"), exitUnknown, "nobody knows"},
		{rpctypes.ErrGRPCNoLeader, exitFailed, "no leader"},
		{rpctypes.ErrGRPCRequestTooManyRequests, exitFailed, "too many requests"},
		{rpctypes.ErrGRPCRequestTooLarge, exitFailed, "too large"},
		{status.Error(codes.Unavailable, "muster: this node is in no cluster yet: waiting for c"), exitFailed, "muster: this node is in no cluster yet: waiting for c"},
	} {
		k, e := servingKV(t)
		k.err = tt.err
		code, _, stderr := runMuster(nil, "put", "k", "v", "--endpoint", e)
		if code != tt.code || !strings.Contains(stderr, tt.says) || k.puts != 1 {
			t.Errorf("%v: exit %d after %d puts, %q; want %d and %q after 1", tt.err, code, k.puts, stderr, tt.code, tt.says)
		}
		if code, _, stderr := runMuster(nil, "get", "k", "--endpoint", e); code != exitFailed || strings.Contains(stderr, "muster: muster:") {
			t.Errorf("%v: get: exit %d, %q", tt.err, code, stderr)
		}
	}
}
