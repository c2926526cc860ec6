package wire

import (
	"testing"

	"github.com/musterhq/muster/cluster"
)

func TestProof(t *testing.T) {
	hello := func() *Hello {
		return &Hello{Cluster: "c", Self: Identity{Incarnation: cluster.Incarnation{1}}, Epoch: 2, Boots: []string{"word", "earlier"}}
	}
	tokens := [][]byte{[]byte("the first of the tokens"), []byte("the second of the tokens")}
	for _, token := range tokens {
		h := hello()
		h.Token = h.Proof(token)
		if !h.Proven(tokens) {
			t.Errorf("%s proves nothing", token)
		}
		if h.Proven(tokens[:0]) {
			t.Errorf("%s proves something where no token is known", token)
		}
	}
	for name, change := range map[string]func(*Hello){
		"none":                func(h *Hello) { h.Token = nil },
		"another token":       func(h *Hello) { h.Token = h.Proof([]byte("the third")) },
		"half":                func(h *Hello) { h.Token = h.Token[:16] },
		"of another cluster":  func(h *Hello) { h.Cluster = "cw" },
		"of another node":     func(h *Hello) { h.Self.Incarnation[3]++ },
		"of another boot":     func(h *Hello) { h.Boots = []string{"ord"} },
		"moved between parts": func(h *Hello) { h.Cluster, h.Boots = "cw", []string{"ord"} },
		"of no boot":          func(h *Hello) { h.Boots = nil },
	} {
		h := hello()
		h.Token = h.Proof(tokens[0])
		change(h)
		if h.Proven(tokens) {
			t.Errorf("%s: it proves that the node has the token", name)
		}
	}
}
