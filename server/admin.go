package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
)

// Outcome says what became of a request that failed.
type Outcome string

const (
	// DidNotHappen: nothing was changed.
	DidNotHappen Outcome = "did_not_happen"
	// Unknown: it may have happened, or may still. Ask again, or look.
	Unknown Outcome = "unknown"
)

// Error is how an admin request is refused, as JSON.
type Error struct {
	Code    string  `json:"code"` // stable snake_case name
	Message string  `json:"error"`
	Outcome Outcome `json:"outcome"`
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// WhyAnswer is what GET /v1/why answers.
type WhyAnswer struct {
	Node      string            `json:"node"` // its name
	ID        cluster.NodeID    `json:"id"`
	Cluster   string            `json:"cluster"` // its name
	ClusterID cluster.ClusterID `json:"cluster_id"`
	Stage     string            `json:"stage"`
	State     string            `json:"state"`
	Reasons   []event.Reason    `json:"reasons"`

	// What the leader says, when it is another node and ?cluster=1 was asked:
	// it alone knows why members are promoted, removed, or not.
	Leader        string         `json:"leader,omitempty"` // its name
	LeaderReasons []event.Reason `json:"leader_reasons,omitempty"`
	LeaderErr     string         `json:"leader_err,omitempty"` // why it could not be asked

	// Survey is what all others say, the leader too, with ?cluster=1.
	Survey *event.Survey `json:"survey,omitempty"`
}

// Done is what an admin request answers that did what it was asked to.
type Done struct {
	Done   string         `json:"done"` // in words
	ID     cluster.NodeID `json:"id,omitempty"`
	Leader cluster.NodeID `json:"leader,omitempty"`
}

func (s *Server) serveWhy(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, Explain(r.Context(), s.node, wanted(r, "cluster")))
}

// Explains is what [Explain] needs of a *muster.Node.
type Explains interface {
	Status() *cluster.Status
	Why() []event.Reason
	Survey(ctx context.Context) event.Survey
}

// Explain says what a node waits for; with all, what the other members say as
// well, which takes up to about a second.
func Explain(ctx context.Context, n Explains, all bool) WhyAnswer {
	st := n.Status()
	out := WhyAnswer{
		Node: st.Self.Name, ID: st.Self.ID, Cluster: st.Cluster, ClusterID: st.ClusterID,
		Stage: st.Stage, State: st.State, Reasons: n.Why(),
	}
	if out.Reasons == nil {
		out.Reasons = []event.Reason{}
	}
	if !all {
		return out
	}
	survey := n.Survey(ctx)
	out.Survey = &survey
	if leader, ok := st.Member(st.Leader); ok && !leads(st) {
		out.Leader = leader.Name
	}
	for _, m := range survey.Members {
		if out.Leader != "" && m.ID == st.Leader {
			out.LeaderReasons, out.LeaderErr = m.Reasons, m.Err
		}
	}
	return out
}

func (s *Server) serveEvents(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.events.latest())
}

func (s *Server) serveRemove(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := s.adminContext(r)
	defer cancel()
	m, ok := s.find(w, r.PathValue("id"))
	if !ok {
		return
	}
	remove := s.node.Remove
	if wanted(r, "below_floor") {
		remove = s.node.RemoveBelowFloor
	}
	if err := remove(ctx, m.ID); err != nil {
		s.fail(w, fmt.Errorf("remove %s: %w", m.Name, err))
		return
	}
	writeJSON(w, http.StatusOK, Done{Done: fmt.Sprintf("%s (%s) was removed", m.Name, m.ID), ID: m.ID})
}

func (s *Server) serveLeave(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := s.adminContext(r)
	defer cancel()
	self := s.node.Status().Self
	// The node stops by itself right after leaving, and may take the answer
	// with it: ErrRemoved is what was asked for.
	leave := s.node.Leave
	if wanted(r, "below_floor") {
		leave = s.node.LeaveBelowFloor
	}
	if err := leave(ctx); err != nil && !errors.Is(err, muster.ErrRemoved) {
		s.fail(w, fmt.Errorf("leave: %w", err))
		return
	}
	writeJSON(w, http.StatusOK, Done{Done: fmt.Sprintf("%s (%s) has left the cluster", self.Name, self.ID), ID: self.ID})
}

func (s *Server) serveTransfer(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := s.adminContext(r)
	defer cancel()
	var to cluster.NodeID
	if name := r.URL.Query().Get("to"); name != "" {
		m, ok := s.find(w, name)
		if !ok {
			return
		}
		to = m.ID
	}
	if err := s.node.Transfer(ctx, to); err != nil {
		s.fail(w, fmt.Errorf("transfer leadership: %w", err))
		return
	}
	st := s.node.Status()
	leader, _ := st.Member(st.Leader)
	writeJSON(w, http.StatusOK, Done{Done: fmt.Sprintf("%s leads in term %d", leader.Name, st.Term), Leader: st.Leader})
}

// adminContext ends with the request or after the request timeout.
func (s *Server) adminContext(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), s.cfg.RequestTimeout)
}

// find looks a member up by ID or name, and answers for the caller if there is none.
func (s *Server) find(w http.ResponseWriter, what string) (cluster.MemberStatus, bool) {
	st := s.node.Status()
	if st.ClusterID.IsZero() {
		s.fail(w, muster.ErrNotMember)
		return cluster.MemberStatus{}, false
	}
	for _, m := range st.Members {
		if m.Name == what {
			return m, true
		}
	}
	if id, err := cluster.ParseNodeID(what); err == nil {
		if m, ok := st.Known(id); ok {
			return m, true
		}
		if a, ok := st.Announcement(id); ok {
			return cluster.MemberStatus{Member: cluster.Member{ID: a.ID, Name: "the announced member"}}, true
		}
	}
	writeJSON(w, http.StatusNotFound, Error{
		Code: "no_such_member", Outcome: DidNotHappen,
		Message: fmt.Sprintf("no member has the name or ID %q; `muster members` lists them", what),
	})
	return cluster.MemberStatus{}, false
}

// fail answers with what became of the request.
func (s *Server) fail(w http.ResponseWriter, err error) {
	if e, ok := errors.AsType[*Error](err); ok { // another member's answer
		writeJSON(w, http.StatusBadGateway, Error{Code: e.Code, Message: err.Error(), Outcome: e.Outcome})
		return
	}
	e := Error{Code: "failed", Message: err.Error(), Outcome: DidNotHappen}
	status := http.StatusInternalServerError
	for _, f := range []struct {
		is     error
		code   string
		status int
	}{
		{muster.ErrUnknownOutcome, "unknown_outcome", http.StatusGatewayTimeout},
		{muster.ErrNotMember, "not_member", http.StatusServiceUnavailable},
		{muster.ErrNotLeader, "no_leader", http.StatusServiceUnavailable},
		{muster.ErrOverloaded, "overloaded", http.StatusTooManyRequests},
		{muster.ErrRefused, "refused", http.StatusConflict},
		{muster.ErrConfig, "invalid", http.StatusBadRequest},
		{muster.ErrRemoved, "removed", http.StatusGone},
		{muster.ErrStopped, "stopped", http.StatusServiceUnavailable},
		{context.DeadlineExceeded, "unknown_outcome", http.StatusGatewayTimeout},
		{context.Canceled, "unknown_outcome", http.StatusGatewayTimeout},
	} {
		if errors.Is(err, f.is) {
			e.Code, status = f.code, f.status
			break
		}
	}
	switch e.Code {
	case "unknown_outcome", "failed": // an error that nobody named promises nothing
		e.Outcome = Unknown
	case "not_member":
		e.Message += because(s.node.Why())
	}
	writeJSON(w, status, e)
}
