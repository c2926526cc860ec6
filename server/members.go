package server

import (
	"fmt"
	"net/http"
)

// servePromote lets a learner vote that was announced as one.
func (s *Server) servePromote(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := s.adminContext(r)
	defer cancel()
	m, ok := s.find(w, r.PathValue("id"))
	if !ok {
		return
	}
	if err := s.node.Promote(ctx, m.ID); err != nil {
		s.fail(w, fmt.Errorf("promote %s: %w", m.Name, err))
		return
	}
	writeJSON(w, http.StatusOK, Done{Done: fmt.Sprintf("%s (%s) may vote, as soon as the policy wants one more voter", m.Name, m.ID), ID: m.ID})
}

// scheme is that of an address behind which TLS is spoken, or isn't.
func scheme(tls bool) string {
	if tls {
		return "https"
	}
	return "http"
}
