package muster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/mustertest"
)

// TestAsk: members ask each other, with or without a leader, as long as they are
// members of the cluster and reach each other; what comes of it is told apart.
func TestAsk(t *testing.T) {
	story(t, func(t *testing.T) {
		ctx := t.Context()
		c := mustertest.New(t, mustertest.Options{Config: func(name string, cfg *muster.Config) {
			if name == "n3" {
				return // answers nothing
			}
			cfg.Answer = func(ctx context.Context, from cluster.NodeID, q []byte) ([]byte, error) {
				switch string(q) {
				case "slow":
					<-ctx.Done()
				case "bad":
					return nil, errors.New("no such thing")
				case "unknown":
					return nil, fmt.Errorf("%w: kind u", muster.ErrRefused)
				}
				return fmt.Appendf(nil, "%s to %s: %s", name, from, q), nil
			}
		}})
		c.Start()
		c.Ready(ctx)
		n1, n2, n3 := c.Member("n1"), c.Member("n2"), c.Member("n3")
		id := func(m *mustertest.Member) cluster.NodeID { return m.Status().Self.ID }
		for _, from := range []*mustertest.Member{n1, n2, n3} {
			a, err := from.Ask(ctx, id(n1), []byte("hi"))
			if want := fmt.Sprintf("n1 to %s: hi", id(from)); err != nil || string(a) != want {
				t.Errorf("%q, %v; want %q", a, err, want)
			}
		}
		ask := func(to cluster.NodeID, q string, want error) {
			t.Helper()
			short, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			if _, err := n1.Ask(short, to, []byte(q)); !errors.Is(err, want) {
				t.Errorf("%q to %s: %v, want %v", q, to, err, want)
			}
		}
		ask(id(n3), "hi", muster.ErrRefused)
		ask(7, "hi", muster.ErrRefused)
		ask(id(n2), "unknown", muster.ErrRefused)
		ask(id(n2), "slow", muster.ErrUnknownOutcome)
		ask(id(n2), strings.Repeat("x", 4<<20+1), muster.ErrTooLarge)
		_, err := n1.Ask(ctx, id(n2), []byte("bad"))
		if e, ok := errors.AsType[*muster.AnswerError](err); !ok || e.From != id(n2) || e.Text != "no such thing" {
			t.Errorf("answered with an error: %v", err)
		}

		stopped := id(n2)
		if err := n2.Close(); err != nil {
			t.Fatal(err)
		}
		ask(stopped, "hi", muster.ErrUnreachable)
		c.Restart("n2")
		c.Until(ctx, "n2 answers again", func() bool {
			_, err := n1.Ask(ctx, stopped, []byte("hi"))
			return err == nil
		})

		s := newStranger(t, c, "n9", cluster.ClusterID{})
		s.tr.SetPeers(map[cluster.NodeID]string{stopped: mustertest.Addr("n2")})
		if _, sent, err := s.tr.Ask(ctx, stopped, []byte("hi")); sent || err == nil {
			t.Errorf("a stranger asked: sent %v, %v", sent, err)
		}
		if err := n1.RemoveBelowFloor(ctx, id(n3)); err != nil {
			t.Fatal(err)
		}
		c.Until(ctx, "a removed member may not ask", func() bool {
			_, err := n3.Ask(ctx, id(n1), []byte("hi"))
			return err != nil
		})
	})
}
