package server

import "github.com/musterhq/muster/cluster"

// view is what one scrape sees, read once.
type view struct {
	st          *cluster.Status
	total, used int64 // bytes of the store on disk, and in use
	revision    int64
	compacted   int64
}

func (s *Server) view() *view {
	v := &view{st: s.node.Status()}
	v.total, v.used = s.size()
	v.revision, v.compacted = s.store.Revision()
	return v
}

func (v *view) learner() bool { return v.st.Self.Role == cluster.Learner }

func (v *view) connected() (n int) {
	for _, m := range v.st.Members {
		if m.ID != v.st.Self.ID && m.Connected {
			n++
		}
	}
	return n
}
