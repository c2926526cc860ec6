package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
)

// PolicyAnswer is what GET /v1/policy answers, and POST /v1/policy with the
// settings as they are then.
type PolicyAnswer struct {
	Settings map[string]string `json:"settings"` // by cluster.Policy's keys; empty: the default
	Index    uint64            `json:"index"`    // this member has applied the log up to here
}

// PolicyEdit is what POST /v1/policy takes.
type PolicyEdit struct {
	Settings map[string]string `json:"settings"` // only those to be changed; empty: back to the default
	Why      string            `json:"why,omitempty"`
}

// maxEditBytes bounds a [PolicyEdit].
const maxEditBytes = 64 << 10

func (s *Server) servePolicy(w http.ResponseWriter, _ *http.Request) {
	st := s.node.Status()
	if st.ClusterID.IsZero() {
		s.fail(w, muster.ErrNotMember)
		return
	}
	out := PolicyAnswer{Settings: map[string]string{}, Index: st.Applied}
	for _, key := range cluster.PolicyKeys() {
		out.Settings[key] = st.Policy.Get(key)
	}
	writeJSON(w, http.StatusOK, out)
}

func (s *Server) serveSetPolicy(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := s.adminContext(r)
	defer cancel()
	var edit PolicyEdit
	if err := json.NewDecoder(io.LimitReader(r.Body, maxEditBytes)).Decode(&edit); err != nil || len(edit.Settings) == 0 {
		s.fail(w, fmt.Errorf("%w: want a JSON object with the settings to change, such as {\"settings\":{\"target-voters\":\"5\"}}", muster.ErrConfig))
		return
	}
	// What is wrong in itself is told before the cluster is asked.
	if _, err := s.node.Status().Policy.Edited(edit.Settings); err != nil {
		s.fail(w, fmt.Errorf("%w: %w", muster.ErrConfig, err))
		return
	}
	if err := s.node.SetPolicy(ctx, edit.Settings, edit.Why); err != nil {
		s.fail(w, fmt.Errorf("change the policy: %w", err))
		return
	}
	e := event.PolicyChanged{Settings: edit.Settings}
	writeJSON(w, http.StatusOK, Done{Done: e.Text()})
}

// servePlan answers what the cluster would do next, by asking the leader.
func (s *Server) servePlan(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := s.adminContext(r)
	defer cancel()
	suppose := r.URL.Query().Get("if")
	forecast, err := s.node.Plan(ctx, suppose)
	if !errors.Is(err, muster.ErrNotLeader) {
		if err != nil {
			s.fail(w, err)
			return
		}
		writeJSON(w, http.StatusOK, forecast)
		return
	}
	st := s.node.Status()
	leader, ok := st.Member(st.Leader)
	switch {
	case st.ClusterID.IsZero():
		s.fail(w, muster.ErrNotMember)
	case !ok || leads(st) || wanted(r, "forwarded"):
		s.fail(w, fmt.Errorf("%w: only a leader can say what comes next", muster.ErrNotLeader))
	default:
		if err := s.askMember(ctx, leader.Member, "/v1/plan?forwarded=1&if="+url.QueryEscape(suppose), &forecast); err != nil {
			s.fail(w, fmt.Errorf("the leader, %s, was asked: %w", leader.Name, err))
			return
		}
		writeJSON(w, http.StatusOK, forecast)
	}
}
