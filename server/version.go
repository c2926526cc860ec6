package server

import (
	"net/http"

	"go.etcd.io/etcd/api/v3/version"

	"github.com/musterhq/muster"
)

// EtcdVersion is the etcd release whose API is spoken, marked as ours: clients
// that look for a feature compare it by its numbers.
const EtcdVersion = "3.7.3-muster." + muster.Version

// clusterVersion is what etcd calls the version that all members agree on.
const clusterVersion = "3.7.0"

// Versions is what GET /version answers.
type Versions struct {
	version.Versions
	Muster string `json:"muster"`
}

func (s *Server) serveVersion(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, Versions{
		Versions: version.Versions{Server: EtcdVersion, Cluster: clusterVersion, Storage: clusterVersion},
		Muster:   muster.Version,
	})
}
