package server

import (
	"context"
	"net/http"
	"net/http/pprof"
	"runtime"
	"strings"
)

// profiling is where Go's profiles of this process are, as in etcd.
const profiling = "/debug/pprof/"

// mutexShare is of how many waits for a lock one is noted once profiles may be
// asked for, as in etcd.
const mutexShare = 5

// profiles serves Go's profiles, to whoever may ask for metrics. One that takes
// its time ends when the server is told to stop.
func (s *Server) profiles(mux *http.ServeMux) {
	if runtime.SetMutexProfileFraction(-1) == 0 { // else the embedder has chosen
		runtime.SetMutexProfileFraction(mutexShare)
	}
	for path, h := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		mux.HandleFunc(profiling+path, func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			defer context.AfterFunc(s.stopping, cancel)()
			h(w, r.WithContext(ctx))
		})
	}
	s.log.Info("profiles of this process may be asked for", "path", profiling)
}

// ours says whether a path is muster's own, of which pages of other web sites
// neither read nor change anything.
func ours(path string) bool {
	return strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/debug/")
}
