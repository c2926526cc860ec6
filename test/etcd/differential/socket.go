package differential

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/coder/websocket"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// overSocket has a step's stream over a WebSocket. A stream of keep-alives ends when
// all are answered; a watch hears of a put that root makes, and is cancelled. How a
// socket is closed is not compared: etcd hangs up.
func (s *session) overSocket(step Step) Answer {
	method, err := describe(step.Method)
	if err != nil {
		return Answer{Err: err}
	}
	rule, _ := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	o := &websocket.DialOptions{HTTPHeader: http.Header{}}
	if token := s.token(step.As); token != "" && step.JSON.defaults {
		o.HTTPHeader.Set("Cookie", "token="+token)
	} else if token != "" {
		o.Subprotocols = []string{"Bearer", " " + token}
	}
	host := strings.TrimPrefix(s.conn.Target(), "passthrough:///")
	c, _, err := websocket.Dial(ctx, "ws://"+host+rule.GetPost(), o) //nolint:bodyclose // Dial sees to it
	if err != nil {
		return Answer{Err: err}
	}
	defer func() { _ = c.CloseNow() }()
	w := &socketTalk{session: s, ctx: ctx, c: c, form: protojson.MarshalOptions{UseProtoNames: step.JSON.lower, EmitUnpopulated: step.JSON.defaults}}
	w.note("subprotocol " + c.Subprotocol())
	if r, ok := step.Req.(*pb.WatchRequest); ok {
		w.watch(r)
		return w.answer
	}
	for _, m := range append([]proto.Message{step.Req}, step.More...) {
		// One after the other: what comes when etcd has hung up can't be sent.
		if w.say(m); !w.hear() {
			break
		}
	}
	return w.answer
}

// socketTalk is what is said over one WebSocket.
type socketTalk struct {
	*session
	ctx    context.Context
	c      *websocket.Conn
	form   protojson.MarshalOptions
	answer Answer
	last   string
}

func (w *socketTalk) note(text string) {
	w.answer.Messages = append(w.answer.Messages, wrapperspb.String(text))
}

func (w *socketTalk) say(m proto.Message) {
	text, err := w.form.Marshal(m)
	if err == nil {
		err = w.c.Write(w.ctx, websocket.MessageText, text)
	}
	if err != nil && w.answer.Err == nil {
		w.answer.Err = fmt.Errorf("sending: %w", err)
	}
}

// hear waits for a message; false: it is the last, or there is none.
func (w *socketTalk) hear() bool {
	kind, text, err := w.c.Read(w.ctx)
	if w.ctx.Err() != nil {
		w.answer.Err = w.ctx.Err()
		return false
	}
	if err != nil {
		w.note("the end")
		return false
	}
	w.last = string(text)
	w.note(fmt.Sprint(kind, " ", w.normalJSON(text)))
	return !strings.HasPrefix(w.last, `{"error"`)
}

func (w *socketTalk) watch(r *pb.WatchRequest) {
	w.say(r)
	if !w.hear() || strings.Contains(w.last, `"canceled":`) {
		return
	}
	create := r.GetCreateRequest()
	ctx, cancel := context.WithTimeout(w.context("root"), callTimeout)
	defer cancel()
	if _, err := pb.NewKVClient(w.conn).Put(ctx, &pb.PutRequest{Key: create.Key, Value: []byte("seen")}); err != nil {
		w.note("put: " + err.Error())
	} else if !w.hear() {
		return
	}
	w.say(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: create.WatchId}}})
	w.hear()
}

// socketStep is a stream of its own over a WebSocket.
func (g *gen) socketStep() Step {
	step := Step{JSON: &jsonForm{verb: "POST", socket: true, lower: g.one(2), defaults: g.one(4)}}
	if g.one(2) {
		step.Method, step.Req = "Lease/LeaseKeepAlive", &pb.LeaseKeepAliveRequest{ID: g.leaseID()}
		for g.one(2) {
			step.More = append(step.More, &pb.LeaseKeepAliveRequest{ID: g.leaseID()})
		}
		return step
	}
	step.Method, step.Req = watchMethod, &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
		Key: g.key(), PrevKv: g.one(2), Fragment: g.one(4), ProgressNotify: g.one(4), WatchId: pick[int64](g, 0, 1, 77),
	}}}
	return step
}
