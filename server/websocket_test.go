package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/musterhq/muster/internal/testcert"
)

// socket is a client's WebSocket.
type socket struct {
	*websocket.Conn
	t *testing.T
}

// opened opens a WebSocket; header holds names and values in turn.
func opened(t *testing.T, url string, header ...string) *socket {
	t.Helper()
	c, _, err := tryToOpen(t, url, nil, header...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func tryToOpen(t *testing.T, url string, client *http.Client, header ...string) (*socket, int, error) {
	t.Helper()
	o := &websocket.DialOptions{HTTPClient: client, HTTPHeader: http.Header{}}
	for i := 0; i+1 < len(header); i += 2 {
		switch header[i] {
		case "Sec-WebSocket-Protocol":
			o.Subprotocols = strings.Split(header[i+1], ",")
		case "Host":
			o.Host = header[i+1]
		default:
			o.HTTPHeader.Set(header[i], header[i+1])
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, resp, err := websocket.Dial(ctx, url, o) //nolint:bodyclose // Dial sees to it
	code := 0
	if resp != nil {
		code = resp.StatusCode
	}
	if err != nil {
		return nil, code, err
	}
	c.SetReadLimit(-1)
	t.Cleanup(func() { c.CloseNow() })
	return &socket{c, t}, code, nil
}

func (s *socket) say(text string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := s.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
		s.t.Fatalf("sending %.100s: %v", text, err)
	}
}

// hear is the next message, with identities as X, or with what it was closed.
func (s *socket) hear() string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	kind, b, err := s.Read(ctx)
	if code := websocket.CloseStatus(err); code != -1 {
		return fmt.Sprint(int(code))
	}
	if err != nil {
		return err.Error()
	}
	return map[websocket.MessageType]string{websocket.MessageText: "", websocket.MessageBinary: "binary "}[kind] +
		ids.ReplaceAllString(blanks.ReplaceAllString(string(b), "$1$2"), `"$1":"X"`)
}

func (s *socket) hears(want ...string) {
	s.t.Helper()
	for i, w := range want {
		if got := s.hear(); got != w {
			s.t.Errorf("message %d:\n%s, want\n%s", i, got, w)
		}
	}
}

const xHeader = `"header":{"cluster_id":"X","member_id":"X","revision":"%d","raft_term":"X"}`

func TestWebSocketWatches(t *testing.T) {
	s, _ := single(t, nil)
	c := opened(t, "ws://"+s.ClientAddr()+"/v3/watch")
	header := func(rev int) string { return fmt.Sprintf(xHeader, rev) }
	c.say(`{"create_request":{"key":"YQ=="}}`)
	c.hears(`{"result":{` + header(1) + `,"created":true}}`)
	if code, body, _ := inJSON(t, s.ClientAddr(), "/v3/kv/put", `{"key":"YQ==","value":"Yg=="}`); code != 200 {
		t.Fatal(code, body)
	}
	c.hears(`{"result":{` + header(2) + `,"events":[{"kv":{"key":"YQ==","create_revision":"2","mod_revision":"2","version":"1","value":"Yg=="}}]}}`)
	c.say(`{"create_request":{"key":"Yg==","watch_id":7}}` + "\n" + `{"cancel_request":`) // messages needn't be whole requests
	c.say(`{"watch_id":7}}`)
	c.hears(`{"result":{`+header(2)+`,"watch_id":"7","created":true}}`, `{"result":{`+header(2)+`,"watch_id":"7","canceled":true}}`)
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	within(t, "the watch outlives its socket", func() bool { return s.store.WatchStats().Groups == 0 })
}

// within waits for a state.
func within(t *testing.T, otherwise string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(otherwise)
		}
	}
}

// Methods that take one request answer it, and that is that. etcd 3.7 waits there
// for more.
func TestWebSocketAnswersOneRequest(t *testing.T) {
	s, _ := single(t, nil)
	for _, tt := range []struct{ path, text, want string }{
		{"/v3/kv/put", `{"key":"YQ==","value":"Yg=="}`, `{` + fmt.Sprintf(xHeader, 2) + `}`},
		{"/v3beta/kv/range", `{}`, `{"code":3,"message":"etcdserver: key is not provided"}`},
		{"/v3/kv/range", ``, `{"code":3,"message":"etcdserver: key is not provided"}`},
		{"/v3/kv/range", `{bad`, `{"code":3,"message":"invalid character 'b' looking for beginning of object key string"}`},
		{"/v3/nonsense", `{}`, `{"code":5,"message":"Not Found"}`},
	} {
		c := opened(t, "ws://"+s.ClientAddr()+tt.path)
		c.say(tt.text)
		c.hears(tt.want, "1000")
	}
	c := opened(t, "ws://"+s.ClientAddr()+"/v3/maintenance/snapshot")
	c.say(`{}`)
	if first := c.hear(); !strings.HasPrefix(first, `{"result":{`) || !strings.Contains(first, `"blob":`) {
		t.Errorf("%.100s", first)
	}
	// A client that goes ends what it waits for.
	held := opened(t, "ws://"+s.ClientAddr()+"/v3/lock/lock")
	held.say(`{"name":"bA=="}`)
	held.hear()
	waiting := opened(t, "ws://"+s.ClientAddr()+"/v3/lock/lock")
	waiting.say(`{"name":"bA=="}`)
	waiting.say(`{"name":"bA=="}`) // which nobody reads
	locks := func() int64 {        // calls under way
		c := s.tally.rpc.methods["/v3lockpb.Lock/Lock"]
		return int64(c.started.Load()) - ended(c)
	}
	within(t, "the second is not asked", func() bool { return locks() == 1 })
	waiting.Close(websocket.StatusNormalClosure, "")
	within(t, "it waits after its client has gone", func() bool { return locks() == 0 })
}

func ended(c *rpcCounts) (n int64) {
	for i := range c.handled {
		n += int64(c.handled[i].Load())
	}
	return n
}

func TestWebSocketOfNoUse(t *testing.T) {
	s, _ := single(t, nil)
	c := opened(t, "ws://"+s.ClientAddr()+"/v3/lease/keepalive")
	c.say(`{"ID":7}{"ID":{}}`)
	c.hears(`{"result":{`+fmt.Sprintf(xHeader, 1)+`,"ID":"X"}}`, "1007")
	c = opened(t, "ws://"+s.ClientAddr()+"/v3/watch")
	c.say(`{"create_request":{"key":"YQ=="}}{bad}`)
	c.hears(`{"result":{`+fmt.Sprintf(xHeader, 1)+`,"created":true}}`, "1007")
	within(t, "the watch outlives its socket", func() bool { return s.store.WatchStats().Groups == 0 })

	addr, _ := echoing(t)
	c = opened(t, "ws://"+addr+"/v3/watch")
	c.say(`{"create_request":{"key":"` + strings.Repeat("A", echoLimit-40) + `"}}`)
	if got := c.hear(); len(got) < echoLimit/2 {
		t.Errorf("a message of nearly the limit: %.100s", got)
	}
	c.say(`{"create_request":{"key":"` + strings.Repeat("A", echoLimit) + `"}}`)
	c.hears("1007")
	c = opened(t, "ws://"+addr+"/v3/watch")
	long := strings.Repeat(`{"create_request":{"key":"`+strings.Repeat("A", 1<<10)+`"}}`, 50)
	go c.Write(t.Context(), websocket.MessageText, []byte(long+strings.Repeat(" ", echoLimit+1-len(long))))
	for last := ""; last != "1009"; {
		if last = c.hear(); !strings.HasPrefix(last, `{"result":`) && last != "1009" {
			t.Fatalf("requests that are longer together than a message may be: %.100s", last)
		}
	}
}

// How a page may say who it is, to which other headers can't be given.
func TestWebSocketTokens(t *testing.T) {
	addr, _ := echoing(t)
	for _, tt := range []struct {
		header      []string
		protocol    string
		wantedToken string
	}{
		{[]string{"Sec-WebSocket-Protocol", "Bearer, the-token"}, "Bearer", `{"token":"Bearer the-token"}`},
		{[]string{"Sec-WebSocket-Protocol", "Bearer,the-token"}, "Bearer", `{"token":"Bearer the-token"}`},
		{[]string{"Sec-WebSocket-Protocol", "other"}, "", `{}`},
		{[]string{"Sec-WebSocket-Protocol", "Bearer, the-token", "Cookie", "token=another"}, "Bearer", `{"token":"Bearer another"}`},
		{[]string{"Authorization", "the-token"}, "", `{}`}, // as in etcd
		{nil, "", `{}`},
	} {
		c := opened(t, "ws://"+addr+"/v3/auth/authenticate", tt.header...)
		c.say(`{}`)
		if c.Subprotocol() != tt.protocol {
			t.Errorf("%v: subprotocol %q", tt.header, c.Subprotocol())
		}
		c.hears(tt.wantedToken, "1000")
	}
}

func TestWebSocketOrigins(t *testing.T) {
	ca := testcert.New(t, "ca")
	own, user := ca.Issue("server", -time.Hour, time.Hour), ca.Issue("", -time.Hour, time.Hour)
	open := func(s *Server, header ...string) (int, string) {
		client := &http.Client{}
		at, secure := strings.CutPrefix(s.ClientAddr(), "https://")
		if secure {
			client.Transport = &http.Transport{TLSClientConfig: clientConfig(t, ca.File, &user)}
		}
		c, code, err := tryToOpen(t, map[bool]string{false: "ws://", true: "wss://"}[secure]+at+"/v3/kv/range", client, header...)
		if err != nil {
			return code, ""
		}
		c.say(`{"key":"YQ=="}`)
		return code, c.hear()
	}
	list, _ := single(t, func(c *Config) {
		c.HTTP.CORS = []string{"https://good.example"}
		c.HTTP.HostWhitelist = []string{"127.0.0.1"}
	})
	all, _ := single(t, func(c *Config) { c.HTTP.CORS = []string{"*"} })
	secured := func(cors string) *Server {
		s, _ := single(t, func(c *Config) {
			c.HTTP.CORS = []string{cors}
			c.TLS = TLS{CertFile: own.Cert, KeyFile: own.Key, CAFile: ca.File, ClientAuth: true}
		})
		return s
	}
	allSecured, listSecured := secured("*"), secured("https://good.example")
	for _, tt := range []struct {
		what   string
		s      *Server
		origin string
		header []string
		code   int
	}{
		{"no page", list, "", nil, 101},
		{"a page of its own", list, "http://" + list.ClientAddr(), nil, 101},
		{"a site of the list", list, "https://good.example", nil, 101},
		{"another site", list, "https://evil.example", nil, 403},
		{"a name that is not known", list, "", []string{"Host", "evil.example"}, 421},
		{"any site", all, "https://evil.example", nil, 101},
		{"any site, with a certificate", allSecured, "https://evil.example", nil, 403},
		{"no page, with a certificate", allSecured, "", nil, 101},
		{"a site of the list, with a certificate", listSecured, "https://good.example", nil, 101},
	} {
		header := tt.header
		if tt.origin != "" {
			header = append(header, "Origin", tt.origin)
		}
		if code, _ := open(tt.s, header...); code != tt.code {
			t.Errorf("%s: %d, want %d", tt.what, code, tt.code)
		}
	}
	// With users, a cookie says who asks: not for a page of any site.
	for _, q := range [][2]string{
		{"user/add", `{"name":"root","password":"p"}`}, {"role/add", `{"name":"root"}`},
		{"user/grant", `{"user":"root","role":"root"}`}, {"enable", `{}`},
	} {
		if code, body, _ := inJSON(t, all.ClientAddr(), "/v3/auth/"+q[0], q[1]); code != 200 {
			t.Fatalf("%s: %d %s", q[0], code, body)
		}
	}
	_, body, _ := inJSON(t, all.ClientAddr(), "/v3/auth/authenticate", `{"name":"root","password":"p"}`)
	_, token, _ := strings.Cut(body, `"token":"`)
	token = strings.TrimSuffix(token, `"}`)
	for _, tt := range []struct {
		header []string
		want   string
	}{
		{[]string{"Sec-WebSocket-Protocol", "Bearer, " + token}, "revision"},
		{[]string{"Sec-WebSocket-Protocol", "Bearer, " + token, "Origin", "https://evil.example"}, "revision"},
		{[]string{"Sec-WebSocket-Protocol", "Bearer, nonsense"}, "invalid auth token"},
		{[]string{"Cookie", "token=" + url.PathEscape(token)}, "revision"},
		{[]string{"Cookie", "token=" + url.PathEscape(token), "Origin", "https://evil.example"}, "user name is empty"},
		{nil, "user name is empty"},
	} {
		if _, got := open(all, tt.header...); !strings.Contains(got, tt.want) {
			t.Errorf("%v: %s, want %s", tt.header, got, tt.want)
		}
	}
}
