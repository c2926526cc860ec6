package replica

import (
	"fmt"
	"testing"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/musterhq/muster/cluster"
)

// BenchmarkPropose is the brain alone: logs in memory whose writes are done at
// once, messages handed over as they are. batch commands arrive together.
func BenchmarkPropose(b *testing.B) {
	for _, members := range []int{1, 3} {
		for _, batch := range []int{1, 64} {
			b.Run(fmt.Sprintf("members=%d/batch=%d", members, batch), func(b *testing.B) { benchPropose(b, members, batch) })
		}
	}
}

type benchNode struct {
	rep *Replica
	log *memLog
}

func benchPropose(b *testing.B, members, batch int) {
	conf, m := &raftpb.ConfState{}, cluster.Membership{}
	for i := range members {
		m.Put(cluster.Member{ID: cluster.NodeID(i + 1), Name: fmt.Sprint(i), Role: cluster.Voter})
		conf.Voters = append(conf.Voters, uint64(i+1))
	}
	image := &raftpb.Snapshot{Data: EncodeMembership(m), Metadata: &raftpb.SnapshotMetadata{Index: new(uint64(1)), Term: new(uint64(1)), ConfState: conf}}
	var nodes []*benchNode
	for _, mem := range m.Members {
		n := &benchNode{log: &memLog{hs: hardState(1, 0, 1)}}
		n.log.reset(1, 1)
		rep, err := New(Config{Self: mem, HeartbeatTicks: 1, ElectionTicks: 10, FirstSeq: 1, Logger: Silent{}}, n.log, image)
		if err != nil {
			b.Fatal(err)
		}
		n.rep = rep
		nodes = append(nodes, n)
	}
	l := nodes[0]
	l.rep.FirstElection()
	run(b, nodes)
	if !l.rep.leads() {
		b.Fatal("no leader")
	}
	cmd := make([]byte, 128)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += batch {
		for range batch {
			l.rep.Propose(cmd)
		}
		run(b, nodes)
		if len(l.log.entries) > 1000 { // memory is not what is measured
			for _, n := range nodes {
				n.log.base, n.log.baseTerm = n.log.LastIndex(), l.rep.basic.GetTerm()
				n.log.entries = n.log.entries[:0]
			}
		}
	}
	if a, _ := l.rep.Indexes(); a < uint64(b.N/batch) {
		b.Fatalf("applied %d", a)
	}
}

// run carries out effects until there are none.
func run(b *testing.B, nodes []*benchNode) {
	send := func(out []Outgoing) {
		for _, o := range out {
			to := nodes[o.To-1]
			for _, m := range o.Batch.Raft {
				to.rep.Step(m)
			}
		}
	}
	for busy := true; busy; {
		busy = false
		for _, n := range nodes {
			e := n.rep.Effects()
			busy = busy || len(e.Send)+len(e.Append)+len(e.Apply) > 0
			send(e.Send)
			for _, a := range e.Append {
				n.log.entries = append(n.log.entries, a.Entries...)
				send(a.Durable)
				if err := n.rep.Appended(a); err != nil {
					b.Fatal(err)
				}
			}
			for _, a := range e.Apply {
				if err := n.rep.Applied(a); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}
