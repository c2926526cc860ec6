package differential

import (
	"strings"
	"testing"
)

// TestJWT has callers told apart by signed tokens, of each kind of key that
// there is; the last has members that only check them.
func TestJWT(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"RS256", "PS384", "ES512", "EdDSA", "HS256", "ES256 checked"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			method, checked := strings.CutSuffix(method, " checked")
			k := newSigners(t, method)
			spec := "--auth-token=jwt,sign-method=" + method
			if k.public != "" {
				spec += ",pub-key=" + k.public
			}
			if !checked {
				spec += ",priv-key=" + k.private
			}
			p := newPairOf(t, kindsWith(t, spec), 1)
			p.jwt = k
			p.run(t, (*seeds+14)/15, jwtProgram)
		})
	}
}
