package differential

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// Step is one thing that a client does.
type Step struct {
	Method string        // "KV/Put": a service and a method of etcdserverpb or its siblings
	Req    proto.Message // not changed by those who play it
	As     string        // the user whose token goes along; "" none
	Stream int           // of a Watch: which of the program's streams
	JSON   *jsonForm     // nil for gRPC
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
	// goneMethod waits until a lease has ended by itself.
	goneMethod = "-/Gone"
)

func (s Step) String() string {
	var b strings.Builder
	b.WriteString(s.Method)
	if s.As != "" {
		fmt.Fprintf(&b, " as %s", s.As)
	}
	if s.Method == watchMethod || s.Method == closeMethod {
		fmt.Fprintf(&b, " on stream %d", s.Stream)
	}
	if s.JSON != nil {
		fmt.Fprintf(&b, " by JSON %+v", *s.JSON)
	}
	if s.Req != nil {
		fmt.Fprintf(&b, " {%s}", show(s.Req))
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
}

func (a Answer) String() string {
	var lines []string
	for _, m := range a.Messages {
		lines = append(lines, fmt.Sprintf("%s{%s}", m.ProtoReflect().Descriptor().Name(), show(m)))
	}
	if a.Err != nil {
		lines = append(lines, a.Err.Error())
	}
	if len(lines) == 0 {
		return "nothing"
	}
	return strings.Join(lines, "\n          ")
}

// equal compares answers that are normal already.
func equal(a, b Answer) bool {
	if len(a.Messages) != len(b.Messages) || (a.Err == nil) != (b.Err == nil) {
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
