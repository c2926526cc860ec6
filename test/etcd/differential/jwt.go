package differential

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/metadata"
)

// signers are what both systems take signed tokens from, and who else might
// sign some.
type signers struct {
	method          string // "RS256"
	private, public string // files; there is no public one for an HMAC
	own, other      any    // keys; of another pair
	publicText      []byte // what a careless server would take for an HMAC's secret
}

func newSigners(t testing.TB, method string) *signers {
	s := &signers{method: method}
	if strings.HasPrefix(method, "HS") {
		secret := []byte("a secret of the two systems")
		s.own, s.other, s.publicText = secret, []byte("another secret"), []byte("")
		s.private = writeFile(t, "secret", secret)
		return s
	}
	own, other := newKey(t, method), newKey(t, method)
	s.own, s.other = own, other
	der, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	s.private = writeFile(t, "key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if der, err = x509.MarshalPKIXPublicKey(own.Public()); err != nil {
		t.Fatal(err)
	}
	s.publicText = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	s.public = writeFile(t, "key.pub", s.publicText)
	return s
}

func writeFile(t testing.TB, name string, content []byte) string {
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func newKey(t testing.TB, method string) crypto.Signer {
	var key crypto.Signer
	var err error
	switch method[:2] {
	case "RS", "PS":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES":
		curve := map[string]elliptic.Curve{"256": elliptic.P256(), "384": elliptic.P384(), "512": elliptic.P521()}[method[2:]]
		key, err = ecdsa.GenerateKey(curve, rand.Reader)
	case "Ed":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// tokenForm is a token as a program has it: it is signed when it is sent, for
// it holds the revision of users and roles.
type tokenForm struct {
	claims string // JSON; in it REV stands for that revision, and PAST and LATER for times in seconds
	method string // by which it is signed; "" the one that both take
	key    string // "" the right one, "other", or "public": the public key's text, for an HMAC
	damage string // "", "cut", "unsigned", "changed", "bearer" (which is none), "parts"
}

// signed is the token; for what can't be signed so it is one that is none.
func (s *session) signed(f *tokenForm) string {
	claims := strings.NewReplacer("REV", fmt.Sprint(s.authRevision()), "OLD", fmt.Sprint(s.authRevision()-1),
		"PAST", fmt.Sprint(time.Now().Add(-time.Hour).Unix()), "LATER", fmt.Sprint(time.Now().Add(time.Hour).Unix())).Replace(f.claims)
	return s.jwt.sign(f, claims)
}

func (k *signers) sign(f *tokenForm, claims string) string {
	name := f.method
	if name == "" {
		name = k.method
	}
	method := jwt.GetSigningMethod(name)
	key := k.own
	switch {
	case name == "none":
		key = jwt.UnsafeAllowNoneSignatureType
	case f.key == "other":
		key = k.other
	case f.key == "public":
		key = k.publicText
	}
	head, _ := json.Marshal(map[string]string{"alg": name, "typ": "JWT"}) // no such map fails
	text := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	sig, err := method.Sign(text, key)
	if err != nil { // the method wants another kind of key
		sig = []byte("nonsense")
	}
	token := text + "." + base64.RawURLEncoding.EncodeToString(sig)
	switch f.damage {
	case "cut":
		token = token[:len(token)-4]
	case "unsigned":
		token = text + "."
	case "changed":
		token = base64.RawURLEncoding.EncodeToString(head) + "." +
			base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(claims, "u1", "root", 1))) + token[len(text):]
	case "bearer":
		token = "Bearer " + token
	case "parts":
		token += ".x"
	}
	return token
}

// root is a token of root's, good for what is asked only of who it is: its
// revision is no matter.
func (k *signers) root() string {
	return k.sign(&tokenForm{}, `{"username":"root","revision":1000000}`)
}

// authRevision is that of users and roles.
func (s *session) authRevision() uint64 {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	asRoot := metadata.AppendToOutgoingContext(ctx, "token", s.jwt.root())
	resp, err := pb.NewAuthClient(s.conn).AuthStatus(asRoot, &pb.AuthStatusRequest{})
	if err != nil {
		return 1 // there is no root
	}
	return resp.AuthRevision
}
