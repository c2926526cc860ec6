package mustertest_test

import (
	"context"
	"fmt"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/kv"
	"github.com/musterhq/muster/mustertest"
	"github.com/musterhq/muster/statemachine"
)

// TestStoreKeepsTheContract: what the server drives is a machine like any other.
func TestStoreKeepsTheContract(t *testing.T) {
	mustertest.TestMachine(t, mustertest.MachineTest{
		New: func() statemachine.Machine {
			return kv.New(kv.Options{CacheBytes: 1 << 20, MemTableBytes: 1 << 20})
		},
		Command: func(i int) []byte {
			b, err := kvCommand(i)
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		State: func(m statemachine.Machine) (string, error) {
			sum, rev, err := m.(*kv.Store).Hash(context.Background())
			return fmt.Sprintf("hash %08x at revision %d", sum, rev), err
		},
	})
}

func kvCommand(i int) ([]byte, error) {
	key := fmt.Appendf(nil, "key%d", i%7)
	switch i % 5 {
	case 3:
		return kv.EncodeDeleteRange(&pb.DeleteRangeRequest{Key: key, PrevKv: true})
	case 4:
		return kv.EncodeTxn(&pb.TxnRequest{
			Compare: []*pb.Compare{{Key: key, Target: pb.Compare_VERSION, Result: pb.Compare_GREATER, TargetUnion: &pb.Compare_Version{Version: 1}}},
			Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: key, Value: []byte("again")}}}},
			Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: key}}}},
		})
	}
	return kv.EncodePut(&pb.PutRequest{Key: key, Value: fmt.Appendf(nil, "value %d", i), PrevKv: true})
}
