package differential

import (
	"fmt"
	"testing"

	"google.golang.org/grpc"

	"github.com/musterhq/muster/test/etcd/internal/system"
)

// pair is the two systems, each of one member: the reference and the one that
// is held to it.
type pair struct {
	t       testing.TB
	against system.Kind
	members [2]*system.Member
	conns   [2]*grpc.ClientConn
}

func newPair(t testing.TB, against system.Kind) *pair {
	p := &pair{t: t, against: against}
	p.renew()
	return p
}

// renew starts both afresh: what a failed program left behind is in no later
// one's way.
func (p *pair) renew() {
	p.t.Helper()
	for i, kind := range []system.Kind{system.Etcd, p.against} {
		if p.conns[i] != nil {
			_ = p.conns[i].Close()
			p.members[i].Kill()
		}
		p.members[i] = system.Start(p.t, kind, 1).Members[0]
		conn, err := p.members[i].Dial()
		if err != nil {
			p.t.Fatal(err)
		}
		p.conns[i] = conn
	}
}

// difference is the first step of a program whose answers differ.
type difference struct {
	at   int // index of the step
	want Answer
	got  Answer
}

// program is what a seed becomes.
type program struct {
	// exact has every step followed by a sync, so that even how changes are put
	// into the responses of watches, and their headers, are compared.
	exact bool
	steps []Step
}

// play plays a program on both and returns the first difference; nil if there
// is none. An error is a fault of a system or of the tests, and no difference.
func (p *pair) play(prog program) (*difference, error) {
	var sessions [2]*session
	for i, conn := range p.conns {
		if err := reset(conn); err != nil {
			return nil, fmt.Errorf("reset %s: %w", p.members[i].Name, err)
		}
		s, err := newSession(conn)
		if err != nil {
			return nil, err
		}
		s.exact = prog.exact
		defer s.close()
		sessions[i] = s
	}
	steps := make([]Step, 0, 2*len(prog.steps)+1)
	var origin []int
	for i, step := range prog.steps {
		steps, origin = append(steps, step), append(origin, i)
		if prog.exact {
			steps, origin = append(steps, Step{Method: syncMethod}), append(origin, i)
		}
	}
	steps, origin = append(steps, Step{Method: syncMethod}), append(origin, len(prog.steps)-1)
	for i, step := range steps {
		want, got := playBoth(sessions, step)
		if err := p.members[0].Alive(); err != nil {
			return nil, fmt.Errorf("%s: %w", step, err)
		}
		if !equal(want, got) && !allowed(step, want, got) {
			return &difference{origin[i], want, got}, nil
		}
	}
	return nil, nil
}

// playBoth returns the answers of both to one step.
func playBoth(s [2]*session, step Step) (want, got Answer) {
	if step.Method != syncMethod {
		return s[0].play(step), s[1].play(step)
	}
	want, amounts := s[0].syncReference()
	got = s[1].sync(amounts)
	return s[0].normal(step, want), s[1].normal(step, got)
}
