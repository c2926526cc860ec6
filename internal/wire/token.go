package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// Proof is what a node shows in place of a token: HMAC-SHA256, with the token as
// its key, over the cluster's name, the node's incarnation, and the random word
// of this boot. So the token itself never leaves a node, and what one node shows
// proves nothing for another. Who can read the traffic can try tokens against it,
// so that a token has to be long and random; and who can take over connections
// can show it again as that node: against that, there is TLS.
func (h *Hello) Proof(token []byte) []byte {
	mac := hmac.New(sha256.New, token)
	for _, part := range []string{"muster join token 1", h.Cluster, string(h.Self.Incarnation[:]), h.Run().Boot} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part)))) // ("a", "bc") is not ("ab", "c")
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}

// Proven says whether the Hello proves that its node has one of the tokens. How
// long it takes doesn't depend on which, nor on how close another comes.
func (h *Hello) Proven(tokens [][]byte) bool {
	proven := false
	for _, t := range tokens {
		if hmac.Equal(h.Token, h.Proof(t)) {
			proven = true
		}
	}
	return proven
}
