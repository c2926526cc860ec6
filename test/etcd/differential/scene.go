package differential

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/test/etcd/internal/system"
)

// kindsWith are the reference and what is held to it, both with these flags.
func kindsWith(t *testing.T, flags ...string) [2]system.Kind {
	return [2]system.Kind{system.Etcd.With(flags...), kindOf(t).With(flags...)}
}

// mustBegin is begin.
func (p *pair) mustBegin() [2]*session {
	p.t.Helper()
	sessions, err := p.begin(false)
	if err != nil {
		p.t.Fatal(err)
	}
	return sessions
}

// compare plays steps on both and reports each that is answered differently.
// Other than play it goes on after one, so it is for steps that don't hang together.
func (p *pair) compare(sessions [2]*session, steps ...Step) {
	p.t.Helper()
	for _, step := range steps {
		want, got := playBoth(sessions, step)
		if equal(want, got) || allowed(step, want, got) != nil {
			continue
		}
		p.report(step.String(), want, got)
	}
}

// report reports what is answered differently.
func (p *pair) report(what string, want, got Answer) {
	p.t.Helper()
	if !equal(want, got) {
		p.t.Errorf("%.500s\n    etcd: %s\n  %s: %s", what, want, p.kinds[1].Name, got)
	}
}

func messages(m ...proto.Message) []proto.Message { return m }
