package server

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/net/http/httpguts"
)

// ofRequests are the methods that take any number of requests on one stream, by
// their paths at the gateway. All others take one.
var ofRequests = map[string]bool{
	"/v3/watch":               true,
	"/v3/lease/keepalive":     true,
	"/v3beta/watch":           true,
	"/v3beta/lease/keepalive": true,
}

// sockets serves the gateway over WebSockets, to clients that can't read an answer
// while they write a request, as browsers can't. Each message of the client is a
// piece of JSON, as a line of a request's body is, and each line of the answer is
// a message. Its methods are safe for concurrent use.
type sockets struct {
	next  http.Handler
	limit int64 // of a client's message, in bytes

	uncut context.Context // its end ends the sockets
	cut   context.CancelFunc

	mu     sync.Mutex
	ending bool
	open   sync.WaitGroup // no more are added when ending
}

func newSockets(next http.Handler, limit int64) *sockets {
	s := &sockets{next: next, limit: limit}
	s.uncut, s.cut = context.WithCancel(context.Background())
	return s
}

// takeNoMore lets none open any more, and has those that end from now on say why.
func (s *sockets) takeNoMore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
}

// wait returns when all have ended. No more are taken by then.
func (s *sockets) wait() { s.open.Wait() }

// enter says whether one more may be opened, which then is to leave.
func (s *sockets) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ending {
		s.open.Add(1)
	}
	return !s.ending
}

// opensSocket says whether a request is the handshake of a WebSocket.
func opensSocket(r *http.Request) bool {
	return httpguts.HeaderValuesContainsToken(r.Header["Connection"], "Upgrade") &&
		httpguts.HeaderValuesContainsToken(r.Header["Upgrade"], "websocket")
}

// ServeHTTP implements http.Handler.
func (s *sockets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !opensSocket(r) {
		s.next.ServeHTTP(w, r)
		return
	}
	if !s.enter() {
		http.Error(w, "This member stops: ask another one.", http.StatusServiceUnavailable)
		return
	}
	defer s.open.Done()
	// The request's own context says nothing once it is a socket.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	defer context.AfterFunc(s.uncut, cancel)()
	asking, giveUp := context.WithCancel(ctx)
	defer giveUp()
	out := &lines{ctx: ctx, asking: asking, header: http.Header{}}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{"Bearer"},
		InsecureSkipVerify: true, // which sites may is seen to by access, which every request passes
		// A pong that can't be sent in five seconds would close the socket: none goes
		// out while a client is slow to take a message.
		OnPingReceived: func(context.Context, []byte) bool { return !out.sending.Load() },
	})
	if err != nil {
		return // Accept has answered
	}
	conn.SetReadLimit(s.limit)
	out.to = conn
	body, messages := io.Pipe()
	defer context.AfterFunc(ctx, func() { _ = messages.Close() })()
	one, refused := !ofRequests[r.URL.Path], atomic.Pointer[error]{}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer cancel()
		receive(ctx, conn, messages, one)
	})
	in := &incoming{PipeReader: body}
	if !one {
		in.refuse = func(why error) {
			refused.Store(&why)
			time.AfterFunc(lastAnswers, giveUp)
		}
	}
	s.next.ServeHTTP(out, asPost(r.WithContext(asking), in))
	_ = messages.Close() // what still comes is passed over
	if ctx.Err() == nil {
		_ = out.flush() // if that fails so does what follows
		_ = conn.Close(s.farewell(refused.Load()))
	}
	cancel()
	reading.Wait()
	_ = conn.CloseNow()
}

// lastAnswers is how long a stream goes on after a message that is not understood, in
// which what came before is answered. Then, unlike in etcd, it ends: nothing that
// the client still says would be heard.
const lastAnswers = time.Second

// farewell is what a socket is closed with whose client has not closed it. refused is
// why a message was not understood; nil: all were.
func (s *sockets) farewell(refused *error) (code websocket.StatusCode, why string) {
	if refused != nil {
		why = (*refused).Error()
		return websocket.StatusInvalidFramePayloadData, strings.ToValidUTF8(why[:min(len(why), maxReason)], "")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return websocket.StatusGoingAway, "this member stops"
	}
	return websocket.StatusNormalClosure, ""
}

// maxReason is how long the reason in a close frame may be, in bytes (RFC 6455
// §5.5).
const maxReason = 123

// incoming is the body of a request whose messages come by a socket.
type incoming struct {
	*io.PipeReader
	refuse func(why error) // is told of a message that is not understood; nil: the answer tells
}

// receive writes what the client sends to a request's body until the client closes
// the socket or ctx ends. A body of one request is at its end after that.
// The gateway waits for the end before it asks; etcd's, too, whose body has none. The
// one message has the time that a short body has.
func receive(ctx context.Context, from *websocket.Conn, to *io.PipeWriter, one bool) {
	if one {
		late, cancel := context.WithTimeout(ctx, bodyGrace)
		defer cancel()
		if !receiveOne(late, from, to) {
			return
		}
		_ = to.Close()
	}
	for receiveOne(ctx, from, to) {
	}
}

// receiveOne writes one message as a line; false: there was none. What the request
// doesn't want to know is passed over: there may be pings and a close behind it.
func receiveOne(ctx context.Context, from *websocket.Conn, to io.Writer) bool {
	_, r, err := from.Reader(ctx)
	if err != nil {
		return false
	}
	_, _ = io.Copy(to, r)
	_, err = io.Copy(io.Discard, r)
	if err != nil {
		return false
	}
	_, _ = to.Write([]byte{'\n'})
	return true
}

// asPost is the request that the gateway gets for a socket that r opened. As in
// etcd its token comes as a subprotocol, behind the word Bearer, or as a cookie,
// since browsers let pages send no other header.
func asPost(r *http.Request, body *incoming) *http.Request {
	h := http.Header{}
	if p := r.Header.Get("Sec-WebSocket-Protocol"); p != "" {
		h.Set("Authorization", "")
		if _, token, ok := strings.Cut(p, "Bearer,"); ok {
			h.Set("Authorization", "Bearer "+strings.Trim(token, " "))
		}
	}
	if c, err := r.Cookie("token"); err == nil {
		h.Set("Authorization", "Bearer "+c.Value)
	}
	for _, name := range []string{"Origin", "Referer"} {
		if v := r.Header.Get(name); v != "" {
			h.Set(name, v)
		}
	}
	r.Method, r.Header, r.Body, r.ContentLength = http.MethodPost, h, body, -1
	return r
}

// lines sends each line of an answer as a message. What goes before the body is
// lost, as in etcd: whether a request succeeded is in the body, too.
type lines struct {
	ctx     context.Context // of the socket
	asking  context.Context // of the request; it is over before the socket if that is given up
	to      *websocket.Conn
	header  http.Header
	begun   []byte // of a line
	sending atomic.Bool
}

// keptBuffer is how much of a buffer for lines is kept for the next, in bytes.
const keptBuffer = 64 << 10

// Header implements http.ResponseWriter.
func (l *lines) Header() http.Header { return l.header }

// WriteHeader implements http.ResponseWriter.
func (l *lines) WriteHeader(int) {}

// Flush implements http.Flusher: a line is on its way when it ends.
func (l *lines) Flush() {}

// Write implements http.ResponseWriter.
func (l *lines) Write(b []byte) (int, error) {
	n := len(b)
	for {
		line, rest, ends := bytes.Cut(b, []byte{'\n'})
		l.begun = append(l.begun, line...)
		if !ends {
			return n, nil
		}
		if err := l.flush(); err != nil {
			return n - len(rest), err
		}
		b = rest
	}
}

// flush sends the line that was begun, if there is one. Nobody hears that the
// request was given up.
func (l *lines) flush() error {
	if l.asking.Err() != nil || len(l.begun) == 0 {
		l.begun = nil
		return nil
	}
	l.sending.Store(true)
	err := l.to.Write(l.ctx, websocket.MessageText, l.begun)
	l.sending.Store(false)
	l.begun = l.begun[:0]
	if cap(l.begun) > keptBuffer {
		l.begun = nil
	}
	return err
}
