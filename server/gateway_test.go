package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/internal/testcert"
)

var (
	ids    = regexp.MustCompile(`"(cluster_id|member_id|leader|ID|raft_term)":"\d+"`)
	blanks = regexp.MustCompile(`([,:]) (["{\[\dtf])`) // package protojson adds them in some builds and not in others
)

// inJSON asks the gateway; identities are shown as X.
func inJSON(t *testing.T, addr, path, body string, header ...string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequest("POST", "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, ids.ReplaceAllString(blanks.ReplaceAllString(string(b), "$1$2"), `"$1":"X"`), resp.Header
}

// What etcd 3.7.3 answers to the same requests, in the same order.
func TestGatewayAnswersAsEtcd(t *testing.T) {
	s, _ := single(t, nil)
	const header = `"header":{"cluster_id":"X","member_id":"X","revision":"`
	for _, tt := range []struct {
		path, body string
		code       int
		want       string
	}{
		{"/v3/kv/put", `{"key":"Zm9v","value":"YmFy"}`, 200, `{` + header + `2","raft_term":"X"}}`},
		{"/v3/kv/put", `{"key":"Zm9v","value":"YmFyMg==","prev_kv":true}`, 200, `{` + header + `3","raft_term":"X"},"prev_kv":{"key":"Zm9v","create_revision":"2","mod_revision":"2","version":"1","value":"YmFy"}}`},
		{"/v3/kv/range", `{"key":"AA==","rangeEnd":"AA==","keysOnly":true,"unknown":1}`, 200, `{` + header + `3","raft_term":"X"},"kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"3","version":"2"}],"count":"1"}`},
		{"/v3/kv/txn", `{"compare":[{"target":"VERSION","key":"Zm9v","version":"2"}],"success":[{"requestRange":{"key":"Zm9v"}},{"request_put":{"key":"YQ==","value":"Yg=="}}]}`, 200,
			`{` + header + `4","raft_term":"X"},"succeeded":true,"responses":[{"response_range":{"header":{"revision":"3"},"kvs":[{"key":"Zm9v","create_revision":"2","mod_revision":"3","version":"2","value":"YmFyMg=="}],"count":"1"}},{"response_put":{"header":{"revision":"4"}}}]}`},
		{"/v3/kv/deleterange", `{"key":"YQ==","prev_kv":true}`, 200, `{` + header + `5","raft_term":"X"},"deleted":"1","prev_kvs":[{"key":"YQ==","create_revision":"4","mod_revision":"4","version":"1","value":"Yg=="}]}`},
		{"/v3/kv/compaction", `{"revision":"3"}`, 200, `{` + header + `5","raft_term":"X"}}`},
		{"/v3/kv/range", `{"key":"Zm9v","revision":"2"}`, 400, `{"code":11,"message":"etcdserver: mvcc: required revision has been compacted"}`},
		{"/v3beta/kv/range", `{}`, 400, `{"code":3,"message":"etcdserver: key is not provided"}`},
		{"/v3/kv/range", `{bad`, 400, `{"code":3,"message":"invalid character 'b' looking for beginning of object key string"}`},
		{"/v3/nonsense", `{}`, 404, `{"code":5,"message":"Not Found"}`},
		{"/v3/maintenance/alarm", `{"action":"GET"}`, 200, `{` + header + `5","raft_term":"X"}}`},
	} {
		if code, got, h := inJSON(t, s.ClientAddr(), tt.path, tt.body); code != tt.code || got != tt.want || h.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s:\n%d %s (%s), want\n%d %s", tt.path, tt.body, code, got, h.Get("Content-Type"), tt.code, tt.want)
		}
	}
	without, _ := single(t, func(c *Config) { c.HTTP.NoGateway = true })
	if code, _, _ := inJSON(t, without.ClientAddr(), "/v3/kv/range", "{}"); code != 404 {
		t.Errorf("without a gateway: %d", code)
	}
}

// echo answers with what it was asked by.
type echo struct {
	pb.UnimplementedAuthServer
	pb.UnimplementedWatchServer
}

func (echo) Authenticate(ctx context.Context, _ *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error) {
	return &pb.AuthenticateResponse{Token: strings.Join(metadata.ValueFromIncomingContext(ctx, "authorization"), " ")}, nil
}

func (echo) Watch(s grpc.BidiStreamingServer[pb.WatchRequest, pb.WatchResponse]) error {
	for {
		r, err := s.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.Send(&pb.WatchResponse{Created: true, CancelReason: string(r.GetCreateRequest().GetKey())}); err != nil {
			return err
		}
	}
}

// echoLimit is how long a message to echo may be, in bytes.
const echoLimit = 64 << 10

// echoing serves echo at a gateway, and over WebSockets.
func echoing(t *testing.T) (addr string, open *sockets) {
	t.Helper()
	in, api := newInner(), grpc.NewServer()
	pb.RegisterAuthServer(api, echo{})
	pb.RegisterWatchServer(api, echo{})
	ended := make(chan error)
	go func() { ended <- api.Serve(in.listener) }()
	open = newSockets(newGateway(in.conn, echoLimit), echoLimit)
	s := http.Server{Handler: open}
	l := listening(t)
	go func() { s.Serve(l); ended <- nil }()
	t.Cleanup(func() {
		open.cut()
		s.Close()
		in.close()
		api.Stop()
		<-ended
		<-ended
		open.wait()
	})
	return l.Addr().String(), open
}

func TestGatewayPassesTokensAndStreams(t *testing.T) {
	addr, _ := echoing(t)
	if code, got, _ := inJSON(t, addr, "/v3/auth/authenticate", `{}`, "Authorization", "the-token"); code != 200 || got != `{"token":"the-token"}` {
		t.Errorf("%d %s", code, got)
	}
	if code, got, _ := inJSON(t, addr, "/v3/watch", `{"create_request":{"key":"YQ=="}}{"create_request":{"key":"Yg=="}}`); code != 200 ||
		got != `{"result":{"created":true,"cancel_reason":"a"}}`+"\n"+`{"result":{"created":true,"cancel_reason":"b"}}`+"\n" {
		t.Errorf("%d %s", code, got)
	}
}

func TestAccess(t *testing.T) {
	s, _ := single(t, func(c *Config) {
		c.HTTP.CORS = []string{"https://good.example"}
		c.HTTP.HostWhitelist = []string{"127.0.0.1"}
	})
	ask := func(method, path, origin, host string) (int, string) {
		req, err := http.NewRequest(method, "http://"+s.ClientAddr()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		if host != "" {
			req.Host = host
		}
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("Access-Control-Allow-Origin")
	}
	for _, tt := range []struct {
		method, path, origin, host string
		code                       int
		allowed                    string
	}{
		{"GET", "/health", "https://good.example", "", 200, "https://good.example"},
		{"GET", "/health", "https://evil.example", "", 200, ""},
		{"GET", "/health", "", "", 200, ""},
		{"OPTIONS", "/v3/kv/range", "https://good.example", "", 200, "https://good.example"},
		{"GET", "/v1/status", "https://good.example", "", 200, ""},
		{"OPTIONS", "/v1/leave", "https://good.example", "", 405, ""},
		{"GET", "/health", "", "evil.example", 421, ""},
		{"GET", "/v1/status", "", "evil.example:80", 421, ""},
		// What a page may change: by a POST that needs no asking first, too.
		{"POST", "/v3/kv/range", "https://evil.example", "", 403, ""},
		{"POST", "/v3/kv/range", "https://good.example", "", 400, "https://good.example"},
		{"POST", "/v3/kv/range", "", "", 400, ""},
		{"POST", "/v1/transfer?to=x", "https://good.example", "", 403, ""},
		{"POST", "/v1/transfer?to=x", "", "", 404, ""},
	} {
		if code, allowed := ask(tt.method, tt.path, tt.origin, tt.host); code != tt.code || allowed != tt.allowed {
			t.Errorf("%+v: %d, allowed: %q", tt, code, allowed)
		}
	}
	s, _ = single(t, func(c *Config) { c.HTTP.CORS = []string{"*"} })
	if code, allowed := ask("GET", "/health", "https://evil.example", "evil.example"); code != 200 || allowed != "*" {
		t.Errorf("by default: %d, allowed: %q", code, allowed)
	}
	if code, _ := ask("POST", "/v3/kv/range", "https://evil.example", ""); code != 400 {
		t.Errorf("a key of all sites': %d", code)
	}
	if code, _ := ask("POST", "/v1/transfer?to=x", "https://evil.example", ""); code != 403 {
		t.Errorf("the cluster is changed by a page from elsewhere: %d", code)
	}
	if err := (Config{Listen: defaultListen, HTTP: HTTP{CORS: []string{"example.org"}}}).validate(); !errors.Is(err, muster.ErrConfig) || !strings.Contains(err.Error(), "--cors") {
		t.Errorf("an origin that is none: %v", err)
	}
}

// With users, a certificate that names one is refused at the gateway, where the
// name would not count.
func TestGatewayTakesNoNameFromACertificate(t *testing.T) {
	ca := testcert.New(t, "ca")
	own, app := ca.Issue("server", -time.Hour, time.Hour), ca.Issue("root", -time.Hour, time.Hour)
	s, _ := single(t, func(c *Config) {
		c.TLS = TLS{CertFile: own.Cert, KeyFile: own.Key, CAFile: ca.File, ClientAuth: true}
	})
	post := func(path, body string) (int, string) {
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: clientConfig(t, ca.File, &app)}, Timeout: patience}
		resp, err := c.Post(s.ClientAddr()+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	for _, q := range [][2]string{
		{"user/add", `{"name":"root","password":"p"}`}, {"role/add", `{"name":"root"}`},
		{"user/grant", `{"user":"root","role":"root"}`}, {"enable", `{}`},
	} {
		if code, body := post("/v3/auth/"+q[0], q[1]); code != 200 {
			t.Fatalf("%s: %d %s", q[0], code, body)
		}
	}
	if code, body := post("/v3/kv/range", `{"key":"YQ=="}`); code != 400 || !strings.HasPrefix(body, "CommonName of client") {
		t.Errorf("%d %s", code, body)
	}
	// Over gRPC it does count.
	if err := putOver(t, s.ClientAddr(), clientConfig(t, ca.File, &app), patience); err != nil {
		t.Errorf("put by the certificate of root: %v", err)
	}
}
