package kv

import (
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// A command is one op byte and the marshalled request of etcd's API:
//
//	+----+------------------------------------+
//	| op | etcdserverpb.…Request, as protobuf |
//	+----+------------------------------------+
//
// The op bytes are on disk and on the wire: never change one.
const (
	opPut             = 1
	opDeleteRange     = 2
	opTxn             = 3
	opCompaction      = 4
	opLeaseGrant      = 5
	opLeaseRevoke     = 6 // with a term before the request, see head
	opLeaseCheckpoint = 7 // likewise
	opAlarm           = 8
	opAuth            = 9  // see EncodeAuth
	opAs              = 10 // see EncodeAs
)

// Reply is the result of every command: exactly one of its fields is set.
// Its revision is filled in; cluster, member and term are the server's to add.
// A command that nobody waits for has a nil result and no Reply.
type Reply struct {
	Response proto.Message // *PutResponse, *DeleteRangeResponse, *TxnResponse, *CompactionResponse, *LeaseGrantResponse, …; the caller's to keep
	Err      error         // why the command was refused; it then changed nothing, and was refused on every member
}

// EncodePut makes a command of a put that passed [Check].
func EncodePut(r *pb.PutRequest) ([]byte, error) { return AppendPut(nil, r) }

// EncodeDeleteRange makes a command of a delete that passed [Check].
func EncodeDeleteRange(r *pb.DeleteRangeRequest) ([]byte, error) { return AppendDeleteRange(nil, r) }

// EncodeTxn makes a command of a transaction that passed [Check].
func EncodeTxn(r *pb.TxnRequest) ([]byte, error) { return AppendTxn(nil, r) }

// EncodeCompaction makes a command of a compaction.
func EncodeCompaction(r *pb.CompactionRequest) ([]byte, error) { return AppendCompaction(nil, r) }

// EncodeAlarm makes a command that raises, clears or lists alarms.
func EncodeAlarm(r *pb.AlarmRequest) ([]byte, error) { return appendCommand(nil, opAlarm, r) }

// AppendPut is [EncodePut] into dst, which may be nil.
func AppendPut(dst []byte, r *pb.PutRequest) ([]byte, error) { return appendCommand(dst, opPut, r) }

// AppendDeleteRange is [EncodeDeleteRange] into dst, which may be nil.
func AppendDeleteRange(dst []byte, r *pb.DeleteRangeRequest) ([]byte, error) {
	return appendCommand(dst, opDeleteRange, r)
}

// AppendTxn is [EncodeTxn] into dst, which may be nil.
func AppendTxn(dst []byte, r *pb.TxnRequest) ([]byte, error) { return appendCommand(dst, opTxn, r) }

// AppendCompaction is [EncodeCompaction] into dst, which may be nil.
func AppendCompaction(dst []byte, r *pb.CompactionRequest) ([]byte, error) {
	return appendCommand(dst, opCompaction, r)
}

func appendCommand(dst []byte, op byte, r proto.Message) ([]byte, error) {
	opt := proto.MarshalOptions{}
	if dst == nil {
		dst = make([]byte, 0, 1+opt.Size(r))
		opt.UseCachedSize = true
	}
	out, err := opt.MarshalAppend(append(dst, op), r)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", r, err)
	}
	return out, nil
}
