package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/musterhq/muster/event"
)

const (
	e2Nodes  = 6
	e2Expect = 3
	// e2Refusal is the code of the reason that refuses more nodes than are safe.
	e2Refusal = "too_many_eligible"
)

// e2: six blank nodes, each listing all six in a different order, expect 3.
func (st *stage) e2(dir string) {
	st.make(dir, e2Nodes)
	first := st.nodes[0]
	if st.sys.expecting(first, st.nodes, e2Expect) == nil {
		st.e2Listed()
		return
	}
	for i, n := range st.nodes {
		n.args = st.sys.expecting(n, rotated(st.nodes, i), e2Expect)
		st.must(n.start())
	}
	st.did("start six blank nodes; each lists all six in another order, and expects %d:\n%s %s", e2Expect, st.sys.name(), strings.Join(first.args, " "))
	refused := map[*node]bool{}
	ids := map[uint64][]string{}
	look := func() {
		ids = st.clusters()
		for _, n := range st.nodes {
			if !n.Running() {
				st.must(fmt.Errorf("%s did not stay up: %s", n.Name, n.lastWords()))
			}
			text, reasons := st.why(n)
			if !refused[n] && slices.ContainsFunc(reasons, func(r event.Reason) bool { return r.Code == e2Refusal }) {
				st.tellWhy(n, text)
				refused[n] = true
			}
		}
	}
	st.during(st.settling, look)
	st.until("all are in a cluster, or each says why not", func() bool {
		look()
		return len(ids) > 0 && len(only(ids)) == e2Nodes || len(ids) == 0 && len(refused) == e2Nodes || len(ids) > 1
	})
	switch {
	case len(ids) == 1 && len(only(ids)) == e2Nodes:
		st.end("three met before the others were up, and founded; the others joined these: one cluster")
	case len(ids) == 0 && len(refused) == e2Nodes:
		st.end("no cluster came to be, and each of the six says why")
	default:
		st.fault("neither one cluster of all, nor a refusal with its reason by each: clusters %v", ids)
		st.end()
	}
}

// e2Listed is what can be done with a system that is told by name who founds.
func (st *stage) e2Listed() {
	for i, n := range st.nodes {
		n.args = st.sys.args(n, rotated(st.nodes, i))
		st.must(n.start())
	}
	st.did("start six blank nodes; each lists all six in another order (there is no way to say that three shall found it):\n%s %s", st.sys.name(), strings.Join(st.nodes[0].args, " "))
	st.until("all of them serve", func() bool {
		for _, n := range st.nodes {
			if _, err := n.keys(st.ctx, false); err != nil {
				return false
			}
		}
		return true
	})
	ids := st.clusters()
	if len(ids) == 1 {
		st.saw("one cluster of six: the order of the list doesn't matter")
	}
	if len(st.faults) > 0 {
		st.end()
		return
	}
	st.verdict(NotApplicable, st.sys.name()+" is told by name which nodes found a cluster, and can't be told only how many; by name it comes out right")
}

// clusters are those that exist now, with who is in them. Two are a fault.
func (st *stage) clusters() map[uint64][]string {
	ids := map[uint64][]string{}
	for _, n := range st.nodes {
		if id, _, err := n.status(st.ctx); err == nil && id != 0 {
			ids[id] = append(ids[id], n.Name)
			st.saw("%s is in cluster %x", n.Name, id)
		}
	}
	if len(ids) > 1 {
		st.fault("there are %d clusters: %v", len(ids), ids)
	}
	return ids
}

// rotated begins with number i.
func rotated(ns []*node, i int) []*node { return append(slices.Clone(ns[i:]), ns[:i]...) }

func only(ids map[uint64][]string) []string {
	for _, names := range ids {
		return names
	}
	return nil
}
