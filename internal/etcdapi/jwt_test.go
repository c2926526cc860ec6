package etcdapi

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/musterhq/muster/kv"
)

// keyFiles writes a key pair and returns the names of its two files.
func keyFiles(t *testing.T, key crypto.Signer) (private, public string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte, err error) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err == nil {
			err = os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	private = write("key", "PRIVATE KEY", der, err)
	if ec, ok := key.(*ecdsa.PrivateKey); ok { // the other common form
		der, err = x509.MarshalECPrivateKey(ec)
		private = write("key", "EC PRIVATE KEY", der, err)
	}
	der, err = x509.MarshalPKIXPublicKey(key.Public())
	return private, write("key.pub", "PUBLIC KEY", der, err)
}

func generate(t *testing.T, method string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch method {
	case "RS256", "PS512":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mustParse(t *testing.T, spec string) *JWT {
	t.Helper()
	j, err := ParseTokenSpec(spec)
	if err != nil {
		t.Fatalf("%s: %v", spec, err)
	}
	return j
}

func TestJWT(t *testing.T) {
	ann := kv.Caller{Name: "ann", Revision: 7}
	for _, method := range []string{"RS256", "PS512", "ES256", "EdDSA", "HS256"} {
		t.Run(method, func(t *testing.T) {
			private, public := filepath.Join(t.TempDir(), "secret"), ""
			var another string
			if method == "HS256" {
				another = private + "2"
				for _, f := range []string{private, another} {
					if err := os.WriteFile(f, []byte(f), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			} else {
				private, public = keyFiles(t, generate(t, method))
				another, _ = keyFiles(t, generate(t, method))
			}
			both := mustParse(t, "jwt,sign-method="+method+",priv-key="+private+",pub-key="+public+",ttl=1m")
			text, err := both.sign(ann)
			if err != nil {
				t.Fatal(err)
			}
			one := mustParse(t, "jwt,priv-key="+private+",sign-method="+method)
			for _, j := range []*JWT{both, one} {
				if got, err := j.caller(text); err != nil || got != ann {
					t.Errorf("%v, %v; want %v", got, err, ann)
				}
			}
			if public != "" {
				verifier := mustParse(t, "jwt,pub-key="+public+",sign-method="+method)
				if got, err := verifier.caller(text); err != nil || got != ann {
					t.Errorf("by the public key: %v, %v; want %v", got, err, ann)
				}
				if _, err := verifier.sign(ann); !errors.Is(err, errVerifyOnly) {
					t.Errorf("signed with a public key: %v", err)
				}
				if _, err := ParseTokenSpec("jwt,sign-method=" + method + ",priv-key=" + another + ",pub-key=" + public); err == nil {
					t.Error("keys that don't belong together are taken")
				}
			}
			other := mustParse(t, "jwt,sign-method="+method+",priv-key="+another)
			if _, err := other.caller(text); !errors.Is(err, rpctypes.ErrGRPCInvalidAuthToken) {
				t.Errorf("a token that another key signed: %v", err)
			}
			refused := func(what string, claims jwt.MapClaims, m jwt.SigningMethod, key any) {
				t.Helper()
				text, err := jwt.NewWithClaims(m, claims).SignedString(key)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := both.caller(text); !errors.Is(err, rpctypes.ErrGRPCInvalidAuthToken) {
					t.Errorf("%s: %v, %v", what, got, err)
				}
			}
			soon := time.Now().Add(time.Minute).Unix()
			refused("one whose time is up", jwt.MapClaims{"username": "ann", "revision": 7, "exp": soon - 120}, both.method, both.signing)
			refused("one without a user", jwt.MapClaims{"revision": 7, "exp": soon}, both.method, both.signing)
			refused("one without a revision", jwt.MapClaims{"username": "ann", "exp": soon}, both.method, both.signing)
			refused("one of another type", jwt.MapClaims{"username": 5, "revision": 7, "exp": soon}, both.method, both.signing)
			refused("one of another name's spelling", jwt.MapClaims{"Username": "ann", "revision": 7}, both.method, both.signing)
			refused("one whose time is a text", jwt.MapClaims{"username": "ann", "revision": 7, "exp": fmt.Sprint(soon)}, both.method, both.signing)
			refused("one whose time is none", jwt.MapClaims{"username": "ann", "revision": 7, "exp": nil}, both.method, both.signing)
			refused("one that is not good yet", jwt.MapClaims{"username": "ann", "revision": 7, "nbf": soon}, both.method, both.signing)
			refused("one that is not signed", jwt.MapClaims{"username": "ann", "revision": 7}, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType)
			// As in etcd, what else it says need not even have the right type.
			for _, more := range []jwt.MapClaims{{}, {"exp": 0}, {"Exp": 1}, {"iss": 5}, {"sub": []int{}}, {"aud": 5}, {"jti": nil}, {"iat": "x"}, {"Username": "root"}} {
				more["username"], more["revision"] = "ann", 7.5
				text, err := jwt.NewWithClaims(both.method, more).SignedString(both.signing)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := both.caller(text); err != nil || got != ann {
					t.Errorf("%v: %v, %v; want %v", more, got, err, ann)
				}
			}
			if public != "" { // a public key is no secret
				b, err := os.ReadFile(public)
				if err != nil {
					t.Fatal(err)
				}
				refused("one signed with the public key as a secret", jwt.MapClaims{"username": "ann", "revision": 7}, jwt.SigningMethodHS256, b)
			}
		})
	}
}

func TestTokenSpec(t *testing.T) {
	if j, err := ParseTokenSpec("simple"); j != nil || err != nil {
		t.Errorf("simple: %v, %v", j, err)
	}
	private, public := keyFiles(t, generate(t, "ES256"))
	for spec, want := range map[string]string{
		"":                                     "want simple",
		"simple,ttl=1s":                        "want simple",
		"jwt":                                  "there is no option",
		"jwt,sign-method":                      "once",
		"jwt,ttl=1m,ttl=2m":                    "once",
		"jwt,key=x":                            `no option "key"`,
		"jwt,sign-method=none":                 "want one such as",
		"jwt,sign-method=XY1":                  "want one such as",
		"jwt,sign-method=HS256":                "secret is missing",
		"jwt,sign-method=ES256":                "there are none",
		"jwt,sign-method=ES256,ttl=x":          "want a time",
		"jwt,sign-method=ES256,priv-key=/none": "priv-key: open /none",
		"jwt,sign-method=RS256,priv-key=" + private: "priv-key:",
		"jwt,sign-method=ES256,pub-key=" + private:  "pub-key:",
		"jwt,sign-method=EdDSA,pub-key=" + public:   "pub-key:",
	} {
		if _, err := ParseTokenSpec(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", spec, err, want)
		}
	}
}

// With JWT, too, a client of etcd's goes on when users or roles change, which
// makes its token old.
func TestClientWithJWT(t *testing.T) {
	private, _ := keyFiles(t, generate(t, "ES256"))
	j := mustParse(t, "jwt,sign-method=ES256,priv-key="+private)
	r := newRig(t, func(c *Config) { c.Auth.JWT = j })
	r.guard(t)
	ctx := testContext(t)
	root, ann := r.as(t, "root"), r.as(t, "ann")
	proposals := r.node.proposals
	for i := range 3 {
		if _, err := ann.Get(ctx, "a"); err != nil {
			t.Fatal(err)
		}
		if _, err := root.RoleAdd(ctx, string(rune('p'+i))); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.node.proposals - proposals; n != 3 {
		t.Errorf("%d proposals, want 3: tokens need none", n)
	}
	if _, err := ann.Put(ctx, "x", "1"); !errors.Is(err, rpctypes.ErrPermissionDenied) {
		t.Errorf("%v, want %v", err, rpctypes.ErrPermissionDenied)
	}
}
