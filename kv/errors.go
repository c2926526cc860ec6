package kv

import (
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// What a request can be refused for. These are etcd's own gRPC errors, so
// that a server passes them on unchanged. Compare with [errors.Is].
var (
	ErrEmptyKey          = rpctypes.ErrGRPCEmptyKey          // a key is missing
	ErrKeyNotFound       = rpctypes.ErrGRPCKeyNotFound       // ignore_value or ignore_lease on a key that is not there; an empty operation in a transaction
	ErrValueProvided     = rpctypes.ErrGRPCValueProvided     // ignore_value together with a value
	ErrLeaseProvided     = rpctypes.ErrGRPCLeaseProvided     // ignore_lease together with a lease
	ErrTooManyOps        = rpctypes.ErrGRPCTooManyOps        // more than MaxTxnOps in a transaction
	ErrDuplicateKey      = rpctypes.ErrGRPCDuplicateKey      // a transaction writes one key twice
	ErrInvalidSortOption = rpctypes.ErrGRPCInvalidSortOption // unknown sort order or target
	ErrFutureRev         = rpctypes.ErrGRPCFutureRev         // the revision asked for does not exist yet
	ErrCompacted         = rpctypes.ErrGRPCCompacted         // the revision asked for is compacted
	ErrLeaseNotFound     = rpctypes.ErrGRPCLeaseNotFound     // a lease that is not there: to revoke, or to put a key on
	ErrLeaseExists       = rpctypes.ErrGRPCLeaseExist        // a lease of the ID chosen for a new one
	ErrLeaseTTLTooLarge  = rpctypes.ErrGRPCLeaseTTLTooLarge  // more than MaxLeaseTTL
	ErrNoSpace           = rpctypes.ErrGRPCNoSpace           // the alarm NOSPACE is raised, and the request would take space
	ErrCorrupt           = rpctypes.ErrGRPCCorrupt           // the alarm CORRUPT is raised
)

var (
	// ErrBadCommand is the reply to a command that this package did not encode.
	// It changed nothing, on any member.
	ErrBadCommand = errors.New("kv: the command is damaged: encode commands with kv.EncodePut and its kin")

	// ErrLeaseTerm is the reply to what a leader decided of leases, by its
	// clock, and what came after a later leader took them over, or after a later
	// note of its own. It changed nothing.
	ErrLeaseTerm = errors.New("kv: overtaken by what was decided of leases later")

	// ErrClosed says that the store is not open, yet or any more.
	ErrClosed = errors.New("kv: the store is not open")
)
