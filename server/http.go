package server

import (
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// newHTTP is a server that doesn't run yet.
func (s *Server) newHTTP(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           &paced{next: h, grace: bodyGrace, pace: bodyPace},
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       5 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ConnContext:       withConn,
	}
}

// probeRoutes is what monitoring asks for.
func (s *Server) probeRoutes(metrics http.Handler) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", s.tally.health(s.serveHealth))
	s.probes(mux, "/livez", s.liveChecks())
	s.probes(mux, "/readyz", s.readyChecks())
	mux.Handle("GET /metrics", metrics)
	return mux
}

// serveMetrics serves them on listeners of their own, too.
func (s *Server) serveMetrics(ls []net.Listener) {
	for _, l := range ls {
		s.group.Go(func() { s.ended("metrics", s.probing.Serve(l)) })
		s.log.Info("serving metrics", "addr", l.Addr().String())
	}
}

// routes is everything that is served over HTTP/1.
func (s *Server) routes(metrics http.Handler) http.Handler {
	mux := s.probeRoutes(metrics)
	mux.HandleFunc("GET /version", s.serveVersion)
	if s.cfg.HTTP.Profiles {
		s.profiles(mux)
	}
	if s.gateway != nil {
		mux.Handle("/v3/", s.withoutNames(s.gateway))
	}

	mux.HandleFunc("GET /v1/status", s.serveStatus)
	mux.HandleFunc("GET /v1/why", s.serveWhy)
	mux.HandleFunc("GET /v1/events", s.serveEvents)
	mux.HandleFunc("GET /v1/plan", s.servePlan)
	mux.HandleFunc("GET /v1/policy", s.servePolicy)
	mux.HandleFunc("POST /v1/policy", s.serveSetPolicy)
	mux.HandleFunc("POST /v1/members/{id}/remove", s.serveRemove)
	mux.HandleFunc("POST /v1/members/{id}/promote", s.servePromote)
	mux.HandleFunc("POST /v1/leave", s.serveLeave)
	mux.HandleFunc("POST /v1/transfer", s.serveTransfer)
	mux.HandleFunc("POST /v1/abandon-genesis", s.serveAbandon)
	return s.forRoot(mux)
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
