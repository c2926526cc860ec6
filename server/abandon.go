package server

import (
	"fmt"
	"net/http"
	"strings"
)

// serveAbandon gives up an accepted genesis. The names of those that are gone
// are in the query, separated by commas.
func (s *Server) serveAbandon(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := s.adminContext(r)
	defer cancel()
	gone := strings.FieldsFunc(r.URL.Query().Get("gone"), func(c rune) bool { return c == ',' })
	if err := s.node.AbandonGenesis(ctx, gone); err != nil {
		s.fail(w, fmt.Errorf("abandon the genesis: %w", err))
		return
	}
	self := s.node.Status().Self
	writeJSON(w, http.StatusOK, Done{Done: fmt.Sprintf("%s (%s) has given up the genesis that it had accepted", self.Name, self.ID), ID: self.ID})
}
