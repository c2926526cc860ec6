package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/musterhq/muster/cluster"
)

// peerTimeout bounds how long another member is asked for its status, by default.
const peerTimeout = time.Second

// maxAnswerBytes bounds what another member may answer.
const maxAnswerBytes = 4 << 20

// ClusterStatus is what GET /v1/status?cluster=1 answers: the cluster as one
// member sees it, with what each member says of itself.
type ClusterStatus struct {
	Cluster    string            `json:"cluster"` // its name
	ClusterID  cluster.ClusterID `json:"cluster_id"`
	Leader     cluster.NodeID    `json:"leader"`
	LeaderName string            `json:"leader_name"`
	Term       uint64            `json:"term"`
	Joint      bool              `json:"joint"`
	From       cluster.NodeID    `json:"from"`    // whose view this is
	Stage      string            `json:"stage"`   // of that node: blank, promised, accepted, member or removed
	Members    []MemberLine      `json:"members"` // sorted by ID

	Generation uint64 `json:"generation,omitempty"` // how often the cluster was re-formed
	Paused     string `json:"paused,omitempty"`     // why nothing is changed automatically; empty: it isn't paused
}

// MemberLine is one member in a [ClusterStatus].
type MemberLine struct {
	ID         cluster.NodeID `json:"id"`
	Name       string         `json:"name"`
	Role       cluster.Role   `json:"role"`
	Leader     bool           `json:"leader"`
	PeerAddr   string         `json:"peer_addr"`
	ClientAddr string         `json:"client_addr"`
	Zone       string         `json:"zone"`
	Replaces   cluster.NodeID `json:"replaces,omitempty"` // see cluster.Member
	Term       uint64         `json:"term"`
	Match      uint64         `json:"match"` // as the leader has it; 0 when the leader can't be asked
	Committed  uint64         `json:"committed"`
	Applied    uint64         `json:"applied"`
	First      uint64         `json:"first"`
	LogBytes   int64          `json:"log_bytes"`
	Progress   string         `json:"progress,omitempty"`       // as the leader has it
	Sent       int64          `json:"snapshot_sent,omitempty"`  // bytes
	Total      int64          `json:"snapshot_total,omitempty"` // bytes
	Err        string         `json:"err,omitempty"`            // why it could not be asked
}

func (s *Server) serveStatus(w http.ResponseWriter, r *http.Request) {
	if wanted(r, "cluster") {
		writeJSON(w, http.StatusOK, s.ClusterStatus(r.Context()))
		return
	}
	writeJSON(w, http.StatusOK, s.node.Status())
}

// wanted says whether the query switches something on.
func wanted(r *http.Request, what string) bool {
	v := r.URL.Query().Get(what)
	return v != "" && v != "0" && v != "false"
}

// ClusterStatus asks every other member, in parallel, for at most a second.
func (s *Server) ClusterStatus(ctx context.Context) ClusterStatus {
	st := s.node.Status()
	views := make([]*cluster.Status, len(st.Members))
	errs := make([]error, len(st.Members))
	var group sync.WaitGroup
	for i, m := range st.Members {
		if m.ID == st.Self.ID {
			views[i] = st
			continue
		}
		group.Go(func() { views[i], errs[i] = s.askStatus(ctx, m.Member) })
	}
	group.Wait()
	return merge(st, views, errs)
}

// merge puts the views of the members, nil where one could not be had,
// together with st: same order and length as st.Members.
func merge(st *cluster.Status, views []*cluster.Status, errs []error) ClusterStatus {
	out := ClusterStatus{
		Cluster: st.Cluster, ClusterID: st.ClusterID, Leader: st.Leader, Term: st.Term,
		Joint: st.Joint, From: st.Self.ID, Stage: st.Stage, Members: []MemberLine{}, Generation: st.Generation,
		Paused: st.Policy.Paused,
	}
	leader := st // who has Match and Progress
	for _, v := range views {
		if v != nil && leads(v) && v.Term >= out.Term {
			leader = v
			out.Leader, out.Term = v.Leader, v.Term
		}
	}
	for i, m := range st.Members {
		line := MemberLine{
			ID: m.ID, Name: m.Name, Role: m.Role, Leader: m.ID == out.Leader,
			PeerAddr: m.PeerAddr, ClientAddr: m.ClientAddr, Zone: m.Zone, Replaces: m.Replaces,
		}
		if line.Leader {
			out.LeaderName = m.Name
		}
		if p, ok := leader.Member(m.ID); ok {
			line.Match, line.Progress, line.Sent, line.Total = p.Match, p.Progress, p.Sent, p.Total
		}
		if v := views[i]; v != nil {
			line.Term, line.Committed, line.Applied, line.First, line.LogBytes = v.Term, v.Committed, v.Applied, v.First, v.LogBytes
		}
		if errs[i] != nil {
			line.Err = errs[i].Error()
		}
		out.Members = append(out.Members, line)
	}
	return out
}

// askStatus asks a member for its own view.
func (s *Server) askStatus(ctx context.Context, m cluster.Member) (*cluster.Status, error) {
	st := &cluster.Status{}
	if err := s.askMember(ctx, m, "/v1/status", st); err != nil {
		return nil, err
	}
	if st.Self.ID != m.ID {
		return nil, fmt.Errorf("%s answers at %s, not %s", st.Self.Name, m.ClientAddr, m.Name)
	}
	return st, nil
}

// askMember asks another member over its client address and decodes its answer
// into v.
func (s *Server) askMember(ctx context.Context, m cluster.Member, path string, v any) error {
	if m.ClientAddr == "" {
		return fmt.Errorf("%s has told no client address", m.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, s.peerTimeout)
	defer cancel()
	base, dial := overSocket(m.ClientAddr)
	if dial == nil {
		base = cluster.URL(m.ClientAddr)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
	if err != nil {
		return fmt.Errorf("can't be asked at %s: %w", m.ClientAddr, err)
	}
	secret, err := s.cfg.TLS.client()
	if err != nil {
		return err
	}
	// A transport of its own: nothing is kept open when the answer is read.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: secret, DialContext: dial}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("no answer at %s: %w", m.ClientAddr, cause(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		e := &Error{}
		if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswerBytes)).Decode(e); err == nil && e.Code != "" {
			return e
		}
		return fmt.Errorf("no answer that can be read at %s: %s", m.ClientAddr, resp.Status)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswerBytes)).Decode(v); err != nil {
		return fmt.Errorf("no answer that can be read at %s: %w", m.ClientAddr, err)
	}
	return nil
}

// cause is why a request got no answer, without the method, URL and address
// that go before it.
func cause(err error) error {
	var op *net.OpError
	var u *url.Error
	switch {
	case errors.As(err, &op) && op.Op == "dial":
		return op.Err
	case errors.As(err, &u):
		return u.Err
	}
	return err
}
