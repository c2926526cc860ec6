package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/musterhq/muster/internal/testcert"
)

// A client is who its certificate says, by the common name, over gRPC and under
// /v1; over the JSON gateway it is refused, as that doesn't look at the name.
func TestUsersByCertificate(t *testing.T) {
	ca := testcert.New(t, "ca")
	pair := ca.Issue("own", -time.Hour, time.Hour)
	s, _ := single(t, func(c *Config) {
		c.TLS = TLS{CertFile: pair.Cert, KeyFile: pair.Key, CAFile: ca.File, ClientAuth: true}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	as := func(name string) *clientv3.Client {
		t.Helper()
		pair := ca.Issue(name, -time.Hour, time.Hour)
		c, err := clientv3.New(clientv3.Config{
			Endpoints: []string{s.ClientAddr()}, TLS: clientConfig(t, ca.File, &pair), Logger: zap.NewNop(),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	root, ann, eve := as("root"), as("ann"), as("eve")
	var errs []error
	do := func(_ any, err error) { errs = append(errs, err) }
	for _, user := range []string{"root", "ann"} { // who come with a certificate, and never with a password
		do(root.UserAddWithOptions(ctx, user, "", &clientv3.UserAddOptions{NoPassword: true}))
	}
	do(root.UserGrantRole(ctx, "root", "root"))
	do(root.RoleAdd(ctx, "app"))
	do(root.RoleGrantPermission(ctx, "app", "a", "", clientv3.PermissionType(clientv3.PermReadWrite)))
	do(root.UserGrantRole(ctx, "ann", "app"))
	do(root.AuthEnable(ctx))
	do(root.Put(ctx, "x", "1"))
	do(ann.Put(ctx, "a", "1"))
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for who, c := range map[string]*clientv3.Client{"ann": ann, "eve": eve} {
		if _, err := c.Put(ctx, "x", "2"); !errors.Is(err, rpctypes.ErrPermissionDenied) {
			t.Errorf("%s: %v", who, err)
		}
	}
	for who, want := range map[string]int{"root": http.StatusOK, "ann": http.StatusForbidden} {
		code, _, err := post(t, s.ClientAddr(), "/v1/policy", `{"settings":{"target-voters":"3"}}`, ca, who)
		if err != nil || code != want {
			t.Errorf("%s changes the policy: %d, %v; want %d", who, code, err, want)
		}
	}
	code, body, err := post(t, s.ClientAddr(), "/v3/kv/range", `{"key":"eA=="}`, ca, "root")
	if err != nil || code != http.StatusBadRequest || !strings.Contains(body, "CommonName") {
		t.Errorf("over the gateway, with root's certificate: %d %s, %v", code, body, err)
	}
}

// post asks over HTTP with a certificate of that name.
func post(t *testing.T, addr, path, what string, ca *testcert.Authority, name string) (int, string, error) {
	t.Helper()
	pair := ca.Issue(name, -time.Hour, time.Hour)
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: clientConfig(t, ca.File, &pair)}, Timeout: patience}
	resp, err := c.Post("https://"+strings.TrimPrefix(addr, "https://")+path, "application/json", strings.NewReader(what))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}
