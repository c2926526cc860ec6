package formation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestTranscripts plays the stories in testdata. Commands, each on its nodes:
//
//	node NAME inc=N [seeds=(a,b,c)] [mode=single|join] [expect=N] [cluster=NAME] [addr=A]
//	start, stop, wipe, rollback NAME...   (rollback: to the empty disk, same incarnation)
//	run ticks=N [quiet]
//	cut FROM TO   (questions of FROM to TO get no answer)
//	lose KIND     (prepare, promise, accept, accepted or commit)
//	hold KIND, release
//	heal
//	why, disk NAME...
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &story{world: newWorld(), cuts: map[string]bool{}}
		s.log = func(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.out.Reset()
			s.play(t, d)
			if bad := s.check(); bad != "" {
				fmt.Fprintf(&s.out, "BROKEN: %s\n", bad)
			}
			if s.out.Len() == 0 {
				return "ok\n"
			}
			return s.out.String()
		})
	})
}

type story struct {
	*world
	cuts map[string]bool
	out  strings.Builder
}

func (s *story) play(t *testing.T, d *datadriven.TestData) {
	switch d.Cmd {
	case "node":
		s.node(t, d)
	case "run":
		s.pass(d)
	case "cut":
		s.cuts[d.CmdArgs[0].Key+">"+d.CmdArgs[1].Key] = true
	case "lose":
		s.lose = d.CmdArgs[0].Key
	case "hold":
		s.hold = d.CmdArgs[0].Key
	case "release":
		s.hold = ""
		s.flying = append(s.flying, s.held...)
		s.held = nil
	case "heal":
		clear(s.cuts)
		s.lose = ""
	default:
		for _, a := range d.CmdArgs {
			n := s.at(a.Key)
			switch d.Cmd {
			case "start":
				s.start(n)
			case "stop":
				s.stop(n)
			case "wipe":
				s.wipe(n)
			case "rollback":
				s.stop(n)
				n.disk = Durable{}
			case "disk":
				s.logf("%s: %s", n.host, describe(n.disk))
			case "why":
				s.why(n)
			default:
				t.Fatalf("unknown command %s", d.Cmd)
			}
		}
	}
}

func (s *story) node(t *testing.T, d *datadriven.TestData) {
	var inc, expect int
	var mode, name, addr string
	var seeds []string
	d.ScanArgs(t, "inc", &inc)
	d.MaybeScanArgs(t, "mode", &mode)
	d.MaybeScanArgs(t, "cluster", &name)
	d.MaybeScanArgs(t, "addr", &addr)
	d.MaybeScanArgs(t, "expect", &expect)
	for _, a := range d.CmdArgs {
		if a.Key == "seeds" {
			seeds = a.Vals
		}
	}
	m := Static
	switch mode {
	case "single":
		m = Single
	case "join":
		m = JoinOnly
	}
	if expect > 0 {
		m = Dynamic
	}
	n := s.add(d.CmdArgs[0].Key, m, seeds, byte(inc))
	n.cfg.Expect = expect
	n.cfg.Cluster = orElse(name, "test")
	n.cfg.Self.PeerAddr = orElse(addr, n.host)
}

// pass lets time pass; what is cut stays unanswered.
func (s *story) pass(d *datadriven.TestData) {
	var ticks int
	for _, a := range d.CmdArgs {
		if a.Key == "ticks" {
			fmt.Sscan(a.Vals[0], &ticks)
		}
		if a.Key == "quiet" {
			old := s.log
			defer func() { s.log = old }()
			s.log = nil
		}
	}
	for i := 0; i <= ticks; i++ {
		for len(s.flying) > 0 {
			m := s.flying[0]
			s.flying = s.flying[1:]
			if m.req != nil && s.cuts[m.from+">"+m.to] {
				s.fail(s.at(m.from), m, nil, "timed out")
				continue
			}
			s.deliver(m)
		}
		if i == ticks {
			return
		}
		for _, n := range s.nodes {
			s.tick(n)
		}
	}
}

func (s *story) why(n *node) {
	if n.f == nil {
		s.logf("%s: %s", n.host, describe(n.disk))
		return
	}
	for _, r := range n.f.Why() {
		s.logf("%s: [%s] %s\n   %s", n.host, r.Code, r.Text, r.WayOut)
	}
}
