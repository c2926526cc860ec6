package etcdapi

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/musterhq/muster/kv"
)

// JWT are tokens that say by themselves, signed, who their user is and at
// which revision of users and roles they were given. All members hold the same
// keys; a change of users or roles makes all tokens old. It is never changed.
type JWT struct {
	method  jwt.SigningMethod
	signing any // nil: tokens are only verified here
	verify  any
	ttl     time.Duration
}

// errVerifyOnly is in etcd's words.
var errVerifyOnly = errors.New("auth: token signing attempted with verify-only key")

// ParseTokenSpec reads what says which tokens there are, in etcd's words:
// "simple", or "jwt,sign-method=RS256,pub-key=FILE,priv-key=FILE,ttl=10m". The
// result is nil for simple ones. Without a private key, tokens that others
// signed are taken and none are given; an HMAC's secret is its private key.
func ParseTokenSpec(spec string) (*JWT, error) {
	kind, rest, _ := strings.Cut(spec, ",")
	switch {
	case kind == "simple" && rest == "":
		return nil, nil
	case kind != "jwt":
		return nil, fmt.Errorf("%q: want simple, or jwt,sign-method=…,pub-key=FILE,priv-key=FILE,ttl=…", spec)
	}
	options := map[string]string{}
	for _, o := range strings.Split(rest, ",") {
		key, value, ok := strings.Cut(o, "=")
		switch key {
		case "sign-method", "pub-key", "priv-key", "ttl":
		default:
			return nil, fmt.Errorf("%q: there is no option %q", spec, key)
		}
		if _, twice := options[key]; !ok || twice {
			return nil, fmt.Errorf("%q: want %s=… once", spec, key)
		}
		options[key] = value
	}
	return newJWT(options)
}

func newJWT(options map[string]string) (*JWT, error) {
	j := &JWT{ttl: DefaultTokenTTL, method: jwt.GetSigningMethod(options["sign-method"])}
	if ttl := options["ttl"]; ttl != "" {
		d, err := time.ParseDuration(ttl)
		if err != nil || d <= 0 {
			return nil, fmt.Errorf("ttl=%s: want a time such as 10m", ttl)
		}
		j.ttl = d
	}
	if j.method == nil || j.method == jwt.SigningMethodNone {
		return nil, fmt.Errorf("sign-method=%s: want one such as RS256, PS256, ES256, HS256 or EdDSA", options["sign-method"])
	}
	private, err := readKey(options["priv-key"])
	if err != nil {
		return nil, fmt.Errorf("priv-key: %w", err)
	}
	public, err := readKey(options["pub-key"])
	if err != nil {
		return nil, fmt.Errorf("pub-key: %w", err)
	}
	if err := j.setKeys(private, public); err != nil {
		return nil, fmt.Errorf("keys for %s: %w", j.method.Alg(), err)
	}
	return j, nil
}

func readKey(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	return os.ReadFile(file)
}

// setKeys parses those that the method needs.
func (j *JWT) setKeys(private, public []byte) error {
	switch j.method.(type) {
	case *jwt.SigningMethodHMAC:
		if len(private) == 0 {
			return errors.New("the secret is missing: name its file with priv-key=")
		}
		j.signing, j.verify = private, private
		return nil
	case *jwt.SigningMethodRSA, *jwt.SigningMethodRSAPSS:
		return setKeyPair[*rsa.PrivateKey, *rsa.PublicKey](j, private, public, jwt.ParseRSAPrivateKeyFromPEM, jwt.ParseRSAPublicKeyFromPEM)
	case *jwt.SigningMethodECDSA:
		return setKeyPair[*ecdsa.PrivateKey, *ecdsa.PublicKey](j, private, public, jwt.ParseECPrivateKeyFromPEM, jwt.ParseECPublicKeyFromPEM)
	case *jwt.SigningMethodEd25519:
		return setKeyPair[crypto.PrivateKey, crypto.PublicKey](j, private, public, jwt.ParseEdPrivateKeyFromPEM, jwt.ParseEdPublicKeyFromPEM)
	}
	return errors.New("this way of signing is not supported")
}

func setKeyPair[Private, Public any](j *JWT, private, public []byte,
	parsePrivate func([]byte) (Private, error), parsePublic func([]byte) (Public, error)) error {
	if len(private) == 0 && len(public) == 0 {
		return errors.New("there are none: name their files with pub-key= and priv-key=")
	}
	if len(public) > 0 {
		key, err := parsePublic(public)
		if err != nil {
			return fmt.Errorf("pub-key: %w", err)
		}
		j.verify = key
	}
	if len(private) == 0 {
		return nil
	}
	key, err := parsePrivate(private)
	if err != nil {
		return fmt.Errorf("priv-key: %w", err)
	}
	own := any(key).(crypto.Signer).Public()
	if j.verify != nil && !own.(interface{ Equal(crypto.PublicKey) bool }).Equal(j.verify) {
		return errors.New("pub-key and priv-key don't belong together")
	}
	j.signing, j.verify = key, own
	return nil
}

// sign gives a token.
func (j *JWT) sign(c kv.Caller) (string, error) {
	if j.signing == nil {
		return "", errVerifyOnly
	}
	return jwt.NewWithClaims(j.method, jwt.MapClaims{
		"username": c.Name, "revision": c.Revision, "exp": time.Now().Add(j.ttl).Unix(),
	}).SignedString(j.signing)
}

// caller is whom a token stands for. The claims are etcd's, so that tokens may
// come from elsewhere; they are read as it reads them: by their exact names, and
// of the others that are registered only those that bound when a token is good.
func (j *JWT) caller(text string) (kv.Caller, error) {
	claims := jwt.MapClaims{}
	key := func(*jwt.Token) (any, error) { return j.verify, nil }
	_, err := jwt.ParseWithClaims(text, claims, key, jwt.WithValidMethods([]string{j.method.Alg()}))
	name, named := claims["username"].(string)
	revision, dated := claims["revision"].(float64)
	if err != nil || !named || !dated || revision < 0 {
		return kv.Caller{}, rpctypes.ErrGRPCInvalidAuthToken
	}
	return kv.Caller{Name: name, Revision: uint64(revision)}, nil
}
