package server

import (
	"encoding/json"
	"net/http"
)

// routes is everything that is served over HTTP/1.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", s.serveHealth)
	s.probes(mux, "/livez", s.liveChecks())
	s.probes(mux, "/readyz", s.readyChecks())
	mux.HandleFunc("GET /version", s.serveVersion)
	mux.Handle("GET /metrics", s.metrics())

	mux.HandleFunc("GET /v1/status", s.serveStatus)
	mux.HandleFunc("GET /v1/why", s.serveWhy)
	mux.HandleFunc("GET /v1/events", s.serveEvents)
	mux.HandleFunc("GET /v1/plan", s.servePlan)
	mux.HandleFunc("GET /v1/policy", s.servePolicy)
	mux.HandleFunc("POST /v1/policy", s.serveSetPolicy)
	mux.HandleFunc("POST /v1/members/{id}/remove", s.serveRemove)
	mux.HandleFunc("POST /v1/leave", s.serveLeave)
	mux.HandleFunc("POST /v1/transfer", s.serveTransfer)
	mux.HandleFunc("POST /v1/abandon-genesis", s.serveAbandon)
	return mux
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // a client that has gone is told nothing
}
