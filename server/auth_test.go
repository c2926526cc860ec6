package server

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"golang.org/x/crypto/bcrypt"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/kv"
)

// While authentication is enabled, what changes the cluster is root's, and
// what only tells is for everybody.
func TestOnlyRootChangesTheCluster(t *testing.T) {
	r := newRig(t)
	changes := []string{
		"/v1/leave", "/v1/transfer", "/v1/members/b/remove", "/v1/members/b/promote", "/v1/abandon-genesis?gone=x", "/v1/policy", "/v1/new",
	}
	ask := func(method, path, user, password string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, "http://"+r.addr+path, strings.NewReader(`{"settings":{"target-voters":"3"}}`))
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			req.SetBasicAuth(user, password)
		}
		return r.send(t, req)
	}
	if code, body := ask("POST", "/v1/transfer", "", ""); code != http.StatusOK {
		t.Errorf("before authentication was enabled: %d %s", code, body)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte("pw"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for _, req := range []proto.Message{
		&pb.AuthUserAddRequest{Name: "root", HashedPassword: base64.StdEncoding.EncodeToString(hash)},
		&pb.AuthUserAddRequest{Name: "ann", HashedPassword: base64.StdEncoding.EncodeToString(hash)},
		&pb.AuthUserGrantRoleRequest{User: "root", Role: "root"},
		&pb.AuthEnableRequest{},
	} {
		cmd, err := kv.EncodeAuth(req)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.node.Propose(t.Context(), cmd); err != nil || got.(kv.Reply).Err != nil {
			t.Fatal(got, err)
		}
	}
	r.node.calls = nil
	for _, path := range changes {
		for _, c := range []struct {
			user, password string
			code           int
			says           string
		}{
			{"", "", http.StatusUnauthorized, "nobody said who asks"},
			{"root", "wrong", http.StatusUnauthorized, "authentication failed"},
			{"eve", "pw", http.StatusUnauthorized, "authentication failed"},
			{"ann", "pw", http.StatusForbidden, "only root may change the cluster"},
		} {
			code, body := ask("POST", path, c.user, c.password)
			if code != c.code || !strings.Contains(body, c.says) || !strings.Contains(body, "did_not_happen") {
				t.Errorf("POST %s by %q: %d %s, want %d %s", path, c.user, code, body, c.code, c.says)
			}
		}
	}
	if len(r.node.calls) > 0 {
		t.Errorf("the node was told to %q", r.node.calls)
	}
	for _, path := range []string{"/health", "/livez", "/readyz", "/version", "/metrics", "/v1/status", "/v1/why", "/v1/events", "/v1/policy"} {
		if code, body := ask("GET", path, "", ""); code != http.StatusOK {
			t.Errorf("GET %s: %d %s", path, code, body)
		}
	}
	if code, body := ask("POST", "/v1/transfer", "root", "pw"); code != http.StatusOK {
		t.Errorf("by root: %d %s", code, body)
	}
}

func TestAuthenticationConfig(t *testing.T) {
	for _, c := range []struct {
		cfg  Auth
		says string
	}{
		{Auth{}, ""},
		{Auth{Token: "simple", BcryptCost: 4, TokenTTL: 1}, ""},
		{Auth{Token: "jwt"}, "--auth-token"},
		{Auth{BcryptCost: 3}, "--bcrypt-cost 3: want 4 to 31"},
		{Auth{TokenTTL: -1}, "--auth-token-ttl"},
	} {
		_, err := c.cfg.authentication(false)
		if c.says == "" && err != nil || c.says != "" && (!errors.Is(err, muster.ErrConfig) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.says)
		}
	}
}

// TestRefusals: what keeps a request out over HTTP, in codes of HTTP's.
func TestRefusals(t *testing.T) {
	for want, err := range map[int]error{
		http.StatusForbidden:          rpctypes.ErrGRPCPermissionDenied,
		http.StatusUnauthorized:       rpctypes.ErrGRPCInvalidAuthToken,
		http.StatusServiceUnavailable: rpctypes.ErrGRPCNoLeader,
		http.StatusTooManyRequests:    rpctypes.ErrGRPCRequestTooManyRequests,
	} {
		w := httptest.NewRecorder()
		refuse(w, httptest.NewRequest(http.MethodPost, "/v1/leave", nil), err)
		if w.Code != want || !strings.Contains(w.Body.String(), string(DidNotHappen)) {
			t.Errorf("%v: %d %s, want %d", err, w.Code, w.Body, want)
		}
	}
}
