package differential

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// Step is one thing that a client does.
type Step struct {
	Method  string          // "KV/Put": a service and a method of etcdserverpb or its siblings
	Req     proto.Message   // not changed by those who play it
	As      string          // the user whose token goes along; "" none
	Token   *tokenForm      // a signed one, in its place; nil: none
	Pending int             // number of a call that is begun, or of an observer; of a Lock or Campaign 0: it is waited for
	Member  int             // which member is asked, of those there are
	Stream  int             // of a Watch: which of the program's streams
	JSON    *jsonForm       // nil for gRPC
	More    []proto.Message // of a stream of requests: those after Req
	Meta    []string        // metadata that goes along: names and values in turn
	Wire    string          // what is done to the encoded request, see damages

	kept bool // the program can't do without it, nor with another
}

// Revisions in a program count from the revision that the store has when the
// program begins: 1 is the program's first change. The same holds for answers.
// Zero and negative ones stand for themselves.

// watchMethod is the one method whose streams outlive their step.
const watchMethod = "Watch/Watch"

// The methods that are not the API's.
const (
	// syncMethod waits until every watch has told what it has to tell, and
	// answers with that.
	syncMethod = "-/Sync"
	// closeMethod ends a watch stream.
	closeMethod = "-/Close"
	// restartMethod stops all members and starts them again; killMethod kills
	// them first. Watch streams end, and tokens: each user is to get another.
	restartMethod = "-/Restart"
	killMethod    = "-/Kill"
	// awaitMethod is the answer of a call that was begun, or that it waits.
	awaitMethod = "-/Await"
	// abandonMethod ends such a call.
	abandonMethod = "-/Abandon"
	// heardMethod is what an observer was told.
	heardMethod = "-/Heard"
	// goneMethod waits until a lease has ended by itself.
	goneMethod = "-/Gone"
	// ledMethod waits until the member leads, and all know that; moveMethod has
	// it lead first.
	ledMethod  = "-/Led"
	moveMethod = "-/Move"
)

func (s Step) String() string {
	var b strings.Builder
	b.WriteString(s.Method)
	if s.As != "" {
		fmt.Fprintf(&b, " as %s", s.As)
	}
	if s.Token != nil {
		fmt.Fprintf(&b, " by token %+v", *s.Token)
	}
	if s.Pending != 0 {
		fmt.Fprintf(&b, " (call %d)", s.Pending)
	}
	if s.Member != 0 {
		fmt.Fprintf(&b, " at n%d", s.Member+1)
	}
	if s.Method == watchMethod || s.Method == closeMethod {
		fmt.Fprintf(&b, " on stream %d", s.Stream)
	}
	if s.JSON != nil {
		fmt.Fprintf(&b, " by JSON %+v", *s.JSON)
	}
	if len(s.Meta) > 0 {
		fmt.Fprintf(&b, " with %q", s.Meta)
	}
	if s.Wire != "" {
		fmt.Fprintf(&b, ", damaged (%s),", s.Wire)
	}
	if s.Req != nil {
		fmt.Fprintf(&b, " {%s}", show(s.Req))
	}
	for _, m := range s.More {
		fmt.Fprintf(&b, " {%s}", show(m))
	}
	return b.String()
}

// maxShown is how much is printed of a message, in bytes.
const maxShown = 4000

func show(m proto.Message) string {
	text := prototext.MarshalOptions{}.Format(m)
	if len(text) > maxShown {
		return fmt.Sprintf("%s… (%d bytes)", text[:maxShown], len(text))
	}
	return text
}

// Answer is what came back for a step.
type Answer struct {
	Messages []proto.Message // in the order of arrival
	Err      error           // a gRPC status
	Meta     string          // the metadata that came before and after
}

func (a Answer) String() string {
	var lines []string
	for _, m := range a.Messages {
		lines = append(lines, fmt.Sprintf("%s{%s}", m.ProtoReflect().Descriptor().Name(), show(m)))
	}
	if a.Err != nil {
		lines = append(lines, a.Err.Error())
	}
	if a.Meta != "" {
		lines = append(lines, "with "+a.Meta)
	}
	if len(lines) == 0 {
		return "nothing"
	}
	return strings.Join(lines, "\n          ")
}

// equal compares answers that are normal already.
func equal(a, b Answer) bool {
	if len(a.Messages) != len(b.Messages) || (a.Err == nil) != (b.Err == nil) || a.Meta != b.Meta {
		return false
	}
	if a.Err != nil && a.Err.Error() != b.Err.Error() {
		return false
	}
	for i := range a.Messages {
		if !proto.Equal(a.Messages[i], b.Messages[i]) {
			return false
		}
	}
	return true
}
