package kv

import (
	"errors"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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

// What a request can be refused for by who sent it, or as a change of who may
// do what. These are etcd's own, too.
var (
	ErrUserEmpty            = rpctypes.ErrGRPCUserEmpty            // the caller didn't say who he is; a user without a name
	ErrPermissionDenied     = rpctypes.ErrGRPCPermissionDenied     // the caller may not do that
	ErrAuthOldRevision      = rpctypes.ErrGRPCAuthOldRevision      // users or roles changed since the caller was established
	ErrAuthNotEnabled       = rpctypes.ErrGRPCAuthNotEnabled       // nobody is asked who he is, so that nobody can be given a token
	ErrAuthFailed           = rpctypes.ErrGRPCAuthFailed           // no such user, no such password
	ErrInvalidAuthMgmt      = rpctypes.ErrGRPCInvalidAuthMgmt      // root would lose its power while authentication is enabled; a range that is none
	ErrRootUserNotExist     = rpctypes.ErrGRPCRootUserNotExist     // authentication can't be enabled without the user root
	ErrRootRoleNotExist     = rpctypes.ErrGRPCRootRoleNotExist     // nor without its role root
	ErrUserAlreadyExist     = rpctypes.ErrGRPCUserAlreadyExist     // a second user of one name
	ErrUserNotFound         = rpctypes.ErrGRPCUserNotFound         // no such user
	ErrRoleEmpty            = rpctypes.ErrGRPCRoleEmpty            // a role without a name
	ErrRoleAlreadyExist     = rpctypes.ErrGRPCRoleAlreadyExist     // a second role of one name
	ErrRoleNotFound         = rpctypes.ErrGRPCRoleNotFound         // no such role
	ErrRoleNotGranted       = rpctypes.ErrGRPCRoleNotGranted       // a role to be revoked that the user hasn't got
	ErrPermissionNotGiven   = rpctypes.ErrGRPCPermissionNotGiven   // a grant of nothing
	ErrPermissionNotGranted = rpctypes.ErrGRPCPermissionNotGranted // a permission to be revoked that the role hasn't got

	// ErrNoPasswordUser has no code of its own in etcd.
	ErrNoPasswordUser = status.Error(codes.Unknown, "auth: authentication failed, password was given for no password user")
)

// These have no code of their own in etcd, which changes the keys, or reads them
// all, and then can't answer.
var (
	ErrPreviousTooLarge = status.Error(codes.ResourceExhausted, "muster: what prev_kv asks for is more than 1 GiB, "+
		"which is too much for one reply: leave prev_kv out, or do it in several requests; nothing was changed")
	ErrAnswerTooLarge = status.Error(codes.ResourceExhausted, "muster: the keys that are asked for hold more than 2 GiB, "+
		"which is too much for one reply: ask with a limit, in several ranges, or with RangeStream")
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
