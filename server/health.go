package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/status"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
)

// Health is what GET /health answers, as in etcd.
type Health struct {
	Health string `json:"health"` // "true" or "false"
	Reason string `json:"reason"`
}

// serveHealth says whether no alarm is raised, those of ?exclude=NAME left out,
// and a linearizable read succeeds here; with ?serializable=true, whether a read
// of this member alone does.
func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request) {
	h, code := Health{Health: "true"}, http.StatusOK
	err := s.checkAlarms(r.URL.Query()["exclude"])
	if err == nil {
		err = s.checkRead(r.Context(), r.URL.Query().Get("serializable") == "true")
	}
	if err != nil {
		h, code = Health{Health: "false", Reason: err.Error()}, http.StatusServiceUnavailable
	}
	writeJSON(w, code, h)
}

// check is one line of a verbose probe.
type check struct {
	name string
	run  func(ctx context.Context) error
}

// liveChecks tell whether restarting the process could help: a member that
// waits for others is alive.
func (s *Server) liveChecks() []check {
	return []check{{"process", func(context.Context) error { return s.node.Err() }}}
}

// readyChecks tell whether clients should be sent here. Unlike etcd's they
// hold for a learner too, as it serves every request.
func (s *Server) readyChecks() []check {
	return []check{
		{"not_stopping", func(context.Context) error {
			if s.leaving.Load() {
				return errors.New("the server is stopping")
			}
			return nil
		}},
		{"data_corruption", func(context.Context) error { return s.checkAlarms([]string{pb.AlarmType_NOSPACE.String()}) }},
		{"serializable_read", func(ctx context.Context) error { return s.checkRead(ctx, true) }},
		{"linearizable_read", func(ctx context.Context) error { return s.checkRead(ctx, false) }},
	}
}

// checkAlarms names the first alarm that is raised, in etcd's words. Those whose
// kinds are excluded don't count.
func (s *Server) checkAlarms(exclude []string) error {
	for _, a := range s.store.Alarms() {
		if kind := a.GetAlarm().String(); !slices.Contains(exclude, kind) {
			return errors.New("ALARM " + kind)
		}
	}
	return nil
}

// checkRead reads one key, or says in words why that can't be done.
func (s *Server) checkRead(ctx context.Context, serializable bool) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()
	st := s.node.Status()
	if st.ClusterID.IsZero() {
		return errors.New("not a member of a cluster yet" + because(s.node.Why()))
	}
	if !serializable {
		if st.Leader == 0 {
			return errors.New("RAFT NO LEADER" + because(s.node.Why()))
		}
		if _, err := s.node.ReadIndex(ctx); err != nil {
			return fmt.Errorf("READ INDEX ERROR:%w", err)
		}
	}
	_, err := s.store.Range(ctx, &pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}, Limit: 1, KeysOnly: true, Serializable: true})
	if err != nil {
		return fmt.Errorf("RANGE ERROR:%s", status.Convert(err).Message())
	}
	return nil
}

func because(why []event.Reason) string {
	if len(why) == 0 {
		return ""
	}
	return ": " + why[0].Text
}

// probes serves the checks together at path and each at path/name, in etcd's
// words: the details on failure, or when ?verbose is given; ?exclude=name
// leaves one out.
func (s *Server) probes(mux *http.ServeMux, path string, checks []check) {
	mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		runChecks(w, r, checks)
	})
	for _, c := range checks {
		mux.HandleFunc("GET "+path+"/"+c.name, func(w http.ResponseWriter, r *http.Request) {
			runChecks(w, r, []check{c})
		})
	}
}

func runChecks(w http.ResponseWriter, r *http.Request, checks []check) {
	query := r.URL.Query()
	excluded := map[string]bool{}
	for _, name := range query["exclude"] {
		excluded[name] = true
	}
	var out strings.Builder
	failed := false
	for _, c := range checks {
		if excluded[c.name] {
			continue
		}
		if err := c.run(r.Context()); err != nil {
			failed = true
			fmt.Fprintf(&out, "[-]%s failed: %v\n", c.name, err)
			continue
		}
		fmt.Fprintf(&out, "[+]%s ok\n", c.name)
	}
	if failed {
		http.Error(w, out.String(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if query.Has("verbose") {
		fmt.Fprint(w, out.String())
	}
	fmt.Fprintln(w, "ok")
}

// leads says whether this member is the leader, as it knows.
func leads(st *cluster.Status) bool { return st.Leader != 0 && st.Leader == st.Self.ID }
