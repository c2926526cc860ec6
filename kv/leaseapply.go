package kv

import (
	"encoding/binary"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/kv/internal/mvcc"
)

// EncodeLeaseGrant makes a command that grants a lease. The ID is chosen, and
// the TTL raised to what the cluster's timing allows, by whoever proposes it:
// the machine knows no chance and no clock.
func EncodeLeaseGrant(r *pb.LeaseGrantRequest) ([]byte, error) {
	return appendCommand(nil, opLeaseGrant, r)
}

// EncodeLeaseRevoke makes a command of a client's wish to revoke a lease.
func EncodeLeaseRevoke(r *pb.LeaseRevokeRequest) ([]byte, error) {
	return seal(head(opLeaseRevoke, 0), r)
}

// EncodeLeaseExpiry makes a command that revokes a lease because its time is
// over, as the leader of term sees it. It is refused with [ErrLeaseTerm] unless
// that leader is the last one that took the leases over.
func EncodeLeaseExpiry(term uint64, id int64) ([]byte, error) {
	return seal(head(opLeaseRevoke, term), &pb.LeaseRevokeRequest{ID: id})
}

// EncodeLeaseCheckpoint makes a command by which the leader of term notes how
// many seconds leases have left; 0 is for all of their TTL. Leases that are not
// there are skipped. The first one of a term, which may be empty, takes the
// leases over: what the leaders of earlier terms send is refused from then on,
// with [ErrLeaseTerm].
//
// The leader counts its notes by seq, from 1: one that comes late, after a
// higher one, is refused likewise. Else it might undo what a renewal relied on.
func EncodeLeaseCheckpoint(term, seq uint64, r *pb.LeaseCheckpointRequest) ([]byte, error) {
	return seal(binary.BigEndian.AppendUint64(head(opLeaseCheckpoint, term), seq), r)
}

// head begins a command that says in whose name it is:
//
//	+----+--------------+------------------------------------+
//	| op | term (8, BE) | etcdserverpb.…Request, as protobuf |
//	+----+--------------+------------------------------------+
//
// Term 0 stands for a client, whom no leader's term binds. A checkpoint has its
// number (8, BE) behind the term.
func head(op byte, term uint64) []byte { return binary.BigEndian.AppendUint64([]byte{op}, term) }

func seal(head []byte, r proto.Message) ([]byte, error) {
	cmd, err := proto.MarshalOptions{}.MarshalAppend(head, r)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", r, err)
	}
	return cmd, nil
}

func (a *applier) runLease(op byte, body []byte, wanted bool) (Reply, error) {
	if op == opLeaseGrant {
		var r pb.LeaseGrantRequest
		if proto.Unmarshal(body, &r) != nil {
			return Reply{Err: ErrBadCommand}, nil
		}
		return a.grant(&r, wanted)
	}
	if len(body) < 8 {
		return Reply{Err: ErrBadCommand}, nil
	}
	term, body := binary.BigEndian.Uint64(body), body[8:]
	if op == opLeaseRevoke {
		var r pb.LeaseRevokeRequest
		if proto.Unmarshal(body, &r) != nil {
			return Reply{Err: ErrBadCommand}, nil
		}
		if term != 0 && term != a.known.leases.term {
			return Reply{Err: ErrLeaseTerm}, nil
		}
		return a.revoke(r.GetID(), wanted)
	}
	if len(body) < 8 {
		return Reply{Err: ErrBadCommand}, nil
	}
	seq, body := binary.BigEndian.Uint64(body), body[8:]
	var r pb.LeaseCheckpointRequest
	if proto.Unmarshal(body, &r) != nil {
		return Reply{Err: ErrBadCommand}, nil
	}
	if k := &a.known.leases; term < k.term || term == k.term && seq <= k.seq {
		return Reply{Err: ErrLeaseTerm}, nil
	}
	return a.note(term, seq, &r, wanted)
}

// grant checks in etcd's order, which decides between two errors.
func (a *applier) grant(r *pb.LeaseGrantRequest, wanted bool) (Reply, error) {
	l := Lease{ID: r.GetID(), TTL: max(r.GetTTL(), 1)}
	if l.ID == 0 {
		return Reply{Err: ErrLeaseNotFound}, nil
	}
	if l.TTL > MaxLeaseTTL {
		return Reply{Err: ErrLeaseTTLTooLarge}, nil
	}
	_, exists, err := a.lease(l.ID)
	if err != nil {
		return Reply{}, err
	}
	if exists {
		return Reply{Err: ErrLeaseExists}, nil
	}
	a.setFact(mvcc.LeaseKey(l.ID), encodeLease(l))
	a.leaseChanged(leaseGranted, l)
	if !wanted {
		return Reply{}, nil
	}
	return Reply{Response: &pb.LeaseGrantResponse{Header: &pb.ResponseHeader{Revision: a.begin}, ID: l.ID, TTL: l.TTL}}, nil
}

// revoke deletes the lease and the keys that hang on it, sorted, in one
// revision.
func (a *applier) revoke(id int64, wanted bool) (Reply, error) {
	_, exists, err := a.lease(id)
	if err != nil {
		return Reply{}, err
	}
	if !exists {
		return Reply{Err: ErrLeaseNotFound}, nil
	}
	gone := detached{span: span{open: true}}
	err = a.attached(id, func(key []byte) error {
		a.detach(&gone, key, id)
		if err := a.write(a.pend.arena.clone(key), nil, mvcc.Meta{}); err != nil {
			return err
		}
		return a.relieve()
	})
	if err != nil {
		return Reply{}, err
	}
	a.detachRest(gone)
	a.deleteFact(mvcc.LeaseKey(id))
	a.leaseChanged(leaseGone, Lease{ID: id})
	if !wanted {
		return Reply{}, nil
	}
	return Reply{Response: &pb.LeaseRevokeResponse{Header: &pb.ResponseHeader{Revision: a.rev}}}, nil
}

// attached visits the keys that hang on a lease, sorted, as the current command
// sees them, until visit fails. key is valid during the visit, which may remove
// it from the lease.
func (a *applier) attached(id int64, visit func(key []byte) error) error {
	lower, upper := mvcc.AttachmentBounds(id)
	return a.scanFacts(a.known.leases.touchedOf(id), lower, upper, func(key, _ []byte) error {
		user, ok := mvcc.AttachedKey(key)
		if !ok {
			return fmt.Errorf("damaged store: %x names no key of lease %016x", key, id)
		}
		return visit(user)
	})
}

// note sets how long leases have left, in the name of the leader of term.
func (a *applier) note(term, seq uint64, r *pb.LeaseCheckpointRequest, wanted bool) (Reply, error) {
	known := &a.known.leases
	wasTerm, wasSeq := known.term, known.seq
	a.facts.onRefusal(func() { known.term, known.seq = wasTerm, wasSeq })
	known.term, known.seq = term, seq
	a.setFact(leaseTermKey(), binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, term), seq))
	for _, c := range r.GetCheckpoints() {
		l, exists, err := a.lease(c.GetID())
		if err != nil {
			return Reply{}, err
		}
		if !exists {
			continue
		}
		l.Remaining = max(c.GetRemaining_TTL(), 0)
		a.setFact(mvcc.LeaseKey(l.ID), encodeLease(l))
		a.leaseChanged(leaseNoted, l)
	}
	if !wanted {
		return Reply{}, nil
	}
	return Reply{Response: &pb.LeaseCheckpointResponse{Header: &pb.ResponseHeader{Revision: a.begin}}}, nil
}

func (a *applier) leaseChanged(kind leaseChangeKind, l Lease) {
	known := &a.known.leases
	n := len(known.changes)
	a.facts.onRefusal(func() { known.changes = known.changes[:n] })
	known.changes = append(known.changes, leaseChange{kind, l})
}

// lease finds one as the current command sees it. Those of earlier calls are
// all in memory; the lock is not needed, since nobody else writes.
func (a *applier) lease(id int64) (Lease, bool, error) {
	key := mvcc.LeaseKey(id)
	stored, own := a.facts.newest[string(key)]
	if !own {
		l, ok := a.known.leases.byID[id]
		return l, ok, nil
	}
	if stored == nil {
		return Lease{}, false, nil
	}
	l, err := decodeLease(key, stored)
	return l, err == nil, err
}

// refusesLease says why a put may not name that lease.
func (a *applier) refusesLease(id int64) (refusal, err error) {
	if id == 0 {
		return nil, nil
	}
	_, exists, err := a.lease(id)
	if err == nil && !exists {
		return ErrLeaseNotFound, nil
	}
	return nil, err
}

// moveAttachment moves a key from the lease that it hung on to another. 0 is none.
func (a *applier) moveAttachment(key []byte, from, to int64) {
	if from == to {
		return
	}
	if from != 0 {
		a.setAttachment(from, key, nil)
	}
	if to != 0 {
		a.setAttachment(to, key, []byte{})
	}
}

// setAttachment writes that a key hangs on a lease, or with nil that it doesn't.
func (a *applier) setAttachment(lease int64, key, value []byte) {
	k := text(mvcc.AppendAttachment(nil, lease, key))
	a.known.leases.touch(lease, k)
	a.facts.put(k, value)
}
