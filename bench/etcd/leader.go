package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// leadership is who leads, as every member says.
type leadership struct {
	at   int // position among the members
	term uint64
}

// waitForLeader returns once all members name one leader and each has taken a
// put. probes has one client per member, same order.
func waitForLeader(ctx context.Context, srv *servers, probes []*clientv3.Client) (leadership, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var l leadership
	err := srv.waitAlive(ctx, func() (err error) {
		if l, err = leaderOf(ctx, probes); err != nil {
			return err
		}
		for i, c := range probes {
			if err := withTimeout(ctx, func(ctx context.Context) error {
				_, err := c.Put(ctx, "bench/ready", "")
				return err
			}); err != nil {
				return fmt.Errorf("first put through %s: %w", srv.members[i].Name, err)
			}
		}
		return nil
	})
	return l, err
}

// leaderOf asks every member. Maintenance.Status means the same on both
// systems: the leader's ID, and the ID of whoever answers.
func leaderOf(ctx context.Context, probes []*clientv3.Client) (leadership, error) {
	l := leadership{at: -1}
	var leader uint64
	for i, c := range probes {
		var st *clientv3.StatusResponse
		if err := withTimeout(ctx, func(ctx context.Context) (err error) {
			st, err = c.Status(ctx, c.Endpoints()[0])
			return err
		}); err != nil {
			return l, err
		}
		switch {
		case st.Leader == 0:
			return l, errors.New("a member knows no leader")
		case leader != 0 && (leader != st.Leader || l.term != st.RaftTerm):
			return l, errors.New("two members name different leaders")
		}
		leader, l.term = st.Leader, st.RaftTerm
		if st.Header.MemberId == leader {
			l.at = i
		}
	}
	if l.at < 0 {
		return l, errors.New("the leader is none of the members")
	}
	return l, nil
}

// afterwards says what would make a window unfit to compare; "" is nothing.
func afterwards(ctx context.Context, probes []*clientv3.Client, before leadership) string {
	after, err := leaderOf(ctx, probes)
	switch {
	case err != nil:
		return "after the window: " + err.Error()
	case after != before:
		return fmt.Sprintf("leadership changed during the load (term %d to %d)", before.term, after.term)
	}
	return ""
}

// withTimeout keeps one unanswered request from using up the time to start.
func withTimeout(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return f(ctx)
}
