package history

import (
	"fmt"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/protobuf/proto"
)

// Answer puts what a store said into words, which are the same for the same
// answer: the revision and all that was read. err is a refusal.
func Answer(resp proto.Message, err error) string {
	if err != nil {
		return refused(err)
	}
	header := resp.(interface{ GetHeader() *pb.ResponseHeader }).GetHeader() //nolint:forcetypeassert // all of etcd's responses have one
	return fmt.Sprintf("@%d %s", header.GetRevision(), said(resp))
}

func refused(err error) string { return "refused: " + rpctypes.Error(err).Error() }

func said(resp proto.Message) string {
	switch r := resp.(type) {
	case *pb.RangeResponse:
		return fmt.Sprintf("read %d more %v%s", r.GetCount(), r.GetMore(), list(versions(r.GetKvs())))
	case *pb.PutResponse:
		if r.GetPrevKv() != nil {
			return "put before " + VersionOf(r.GetPrevKv()).String()
		}
		return "put"
	case *pb.DeleteRangeResponse:
		return fmt.Sprintf("deleted %d%s", r.GetDeleted(), list(versions(r.GetPrevKvs())))
	case *pb.TxnResponse:
		var b strings.Builder
		fmt.Fprintf(&b, "succeeded %v", r.GetSucceeded())
		for _, op := range r.GetResponses() {
			fmt.Fprintf(&b, " (%s)", saidOp(op))
		}
		return b.String()
	case *pb.CompactionResponse:
		return "compacted"
	case *pb.LeaseGrantResponse:
		return fmt.Sprintf("lease %x for %d", r.GetID(), r.GetTTL())
	case *pb.LeaseRevokeResponse:
		return "revoked"
	}
	return fmt.Sprintf("no model of %T", resp)
}

func saidOp(op *pb.ResponseOp) string {
	switch o := op.GetResponse().(type) {
	case *pb.ResponseOp_ResponseRange:
		return said(o.ResponseRange)
	case *pb.ResponseOp_ResponsePut:
		return said(o.ResponsePut)
	case *pb.ResponseOp_ResponseDeleteRange:
		return said(o.ResponseDeleteRange)
	case *pb.ResponseOp_ResponseTxn:
		return said(o.ResponseTxn)
	}
	return "nothing"
}

// VersionOf is a key as it came over the wire.
func VersionOf(kv *mvccpb.KeyValue) KeyValue {
	return KeyValue{
		Key: string(kv.GetKey()), Value: string(kv.GetValue()),
		Create: kv.GetCreateRevision(), Mod: kv.GetModRevision(), Version: kv.GetVersion(), Lease: kv.GetLease(),
	}
}

func versions(kvs []*mvccpb.KeyValue) (out []KeyValue) {
	for _, kv := range kvs {
		out = append(out, VersionOf(kv))
	}
	return out
}

// String is the version in answers.
func (kv KeyValue) String() string {
	return fmt.Sprintf("%s=%q/%d/%d/%d/%x", kv.Key, kv.Value, kv.Create, kv.Mod, kv.Version, kv.Lease)
}

func list(kvs []KeyValue) string {
	var b strings.Builder
	for _, kv := range kvs {
		b.WriteByte(' ')
		b.WriteString(kv.String())
	}
	return b.String()
}
