package kv

import (
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/statemachine"
)

// member applies the log of its cluster, in its own way.
type member struct {
	*Store
	requests
	t    *testing.T
	disk *vfs.MemFS
	dir  string
	dirs int
}

func (m *member) open() {
	m.t.Helper()
	m.Store = New(smallOptions(m.disk))
	m.purge = purgeLimits{window: 1 + m.IntN(4000), batch: 1 + m.IntN(400)}
	_, err := m.Open(m.dir)
	must(m.t, err)
}

// apply carries out the entries, in calls of its own choice, and returns the
// replies of those that it wants.
func (m *member) apply(entries []statemachine.Entry) []statemachine.Result {
	m.t.Helper()
	var out []statemachine.Result
	for len(entries) > 0 {
		n := 1 + m.IntN(len(entries))
		part := make([]statemachine.Entry, n)
		for i, e := range entries[:n] {
			part[i] = statemachine.Entry{Index: e.Index, Command: append([]byte(nil), e.Command...), Wanted: m.IntN(3) > 0}
		}
		m.smallPieces(m.Rand)
		got, err := m.Apply(part[n-1].Index, part)
		must(m.t, err)
		for i := range part {
			clear(part[i].Command) // they are the caller's again
		}
		out, entries = append(out, got...), entries[n:]
	}
	return out
}

// commander makes commands of all kinds, also damaged ones.
type commander struct {
	requests
	t    *testing.T
	auth *Auth // about what holds
	term uint64
	seq  uint64
}

func (c *commander) plain() []byte {
	c.t.Helper()
	var cmd []byte
	var err error
	switch n := c.IntN(100); {
	case n < 60:
		cmd = encode(c.t, c.write())
	case n < 63: // unchecked
		cmd = encode(c.t, c.txn(0, false))
	case n < 67:
		cmd = encode(c.t, c.tooLate())
	case n < 72:
		if c.term += uint64(c.IntN(2)); c.IntN(4) == 0 {
			c.seq = 0
		}
		c.seq++
		l, ok := c.lease().(*pb.LeaseCheckpointRequest)
		if !ok {
			l = &pb.LeaseCheckpointRequest{}
		}
		cmd, err = EncodeLeaseCheckpoint(c.term-min(c.term, uint64(c.IntN(3))), c.seq, l)
	case n < 76:
		cmd, err = EncodeLeaseExpiry(c.term-min(c.term, uint64(c.IntN(2))), pick(c.Rand, leaseIDs...))
	case n < 78:
		cmd = encode(c.t, c.alarm())
	case n < 82: // lest everything be refused for long
		cmd, err = EncodeAlarm(&pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, MemberID: 7, Alarm: pick(c.Rand, pb.AlarmType_CORRUPT, pb.AlarmType_NOSPACE)})
	default:
		cmd, err = EncodeAuth(c.authRequest())
	}
	must(c.t, err)
	return cmd
}

// tooLate is a transaction that is refused, if a key is there, when part of it was
// carried out: it puts the value that it has deleted.
func (c *commander) tooLate() *pb.TxnRequest {
	key := []byte{pick(c.Rand, byte(1), 'a')}
	return &pb.TxnRequest{Success: []*pb.RequestOp{
		{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: c.key(), Lease: pick(c.Rand, 0, 7, 8, int64(-1))}}},
		deleteOp(string(key), "\x00"),
		{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: key, IgnoreValue: true}}},
	}}
}

func (c *commander) authRequest() proto.Message {
	user, role := pick(c.Rand, "root", "ann", "bob"), pick(c.Rand, "root", "r1", "r2")
	switch c.IntN(14) {
	case 0:
		return &pb.AuthEnableRequest{}
	case 1:
		return &pb.AuthDisableRequest{}
	case 2:
		return &pb.InternalAuthenticateRequest{Name: user, SimpleToken: "t"}
	case 3:
		return &pb.AuthUserAddRequest{Name: user, HashedPassword: pick(c.Rand, "eA==", "?", ""), Options: &authpb.UserAddOptions{NoPassword: c.IntN(3) == 0}}
	case 4:
		if c.IntN(3) > 0 {
			user = "ann"
		}
		return &pb.AuthUserDeleteRequest{Name: user}
	case 5:
		return &pb.AuthUserChangePasswordRequest{Name: user, HashedPassword: pick(c.Rand, "eQ==", "?")}
	case 6, 7, 8:
		return &pb.AuthUserGrantRoleRequest{User: user, Role: role}
	case 9:
		return &pb.AuthUserRevokeRoleRequest{Name: user, Role: role}
	case 10:
		return &pb.AuthRoleAddRequest{Name: role}
	case 11:
		return &pb.AuthRoleDeleteRequest{Role: pick(c.Rand, role, "r1")}
	case 12:
		return &pb.AuthRoleGrantPermissionRequest{Name: role, Perm: &authpb.Permission{Key: c.key(), RangeEnd: c.end(), PermType: authpb.Permission_Type(c.IntN(4))}}
	}
	return &pb.AuthRoleRevokePermissionRequest{Role: role, Key: c.key(), RangeEnd: c.end()}
}

func (c *commander) command() []byte {
	for {
		cmd := c.plain()
		if c.IntN(3) > 0 {
			cmd = EncodeAs(Caller{pick(c.Rand, "root", "root", "root", "root", "ann", "bob", ""), c.auth.Revision() + uint64(c.IntN(4)) - 1}, cmd)
		}
		for c.IntN(12) == 0 && len(cmd) > 0 {
			switch c.IntN(3) {
			case 0:
				cmd = cmd[:c.IntN(len(cmd))]
			case 1:
				cmd[c.IntN(len(cmd))] ^= 1 << c.IntN(8)
			default:
				cmd[c.IntN(len(cmd))] = byte(c.Uint32())
			}
		}
		if isKnown(cmd) {
			return cmd
		}
	}
}

// isKnown says whether a command, which may be damaged, is of a kind that this
// version knows.
func isKnown(cmd []byte) bool {
	_, inner, ok := splitCaller(cmd)
	return !ok || len(inner) == 0 ||
		inner[0] >= opPut && inner[0] < opAs && (inner[0] != opAuth || len(inner) == 1 || newAuthRequest(inner[1]) != nil)
}

// TestMembersAgree: members that apply one log, in calls and pieces of other sizes,
// with others waiting, with memory and disk in another state, and from an image of each
// other, give the same replies and hold the same; whatever the commands are.
func TestMembersAgree(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			c := &commander{requests: requests{Rand: newRand(seed)}, t: t}
			var members []*member
			for i := range uint64(3) {
				m := &member{requests: requests{Rand: newRand(seed*3 + i + 100)}, t: t, disk: vfs.NewMem(), dir: "kv"}
				must(t, m.disk.MkdirAll(m.dir, 0o755))
				m.open()
				members = append(members, m)
			}
			index, replies := uint64(0), map[error]int{}
			for range 100 {
				c.auth = members[0].Auth()
				c.rev, _ = members[0].Revision()
				var entries []statemachine.Entry
				for range 1 + c.IntN(20) {
					index++
					entries = append(entries, statemachine.Entry{Index: index, Command: c.command()})
				}
				want := make([]statemachine.Result, len(entries))
				for _, m := range members {
					for i, got := range m.apply(entries) {
						if got == nil {
							continue
						}
						if want[i] == nil {
							want[i] = got
							replies[got.(Reply).Err]++
						}
						w, g := want[i].(Reply), got.(Reply)
						if w.Err != g.Err || w.Err == nil && !proto.Equal(w.Response, g.Response) {
							t.Fatalf("command %x: %v, %v and %v, %v", entries[i].Command, w.Response, w.Err, g.Response, g.Err)
						}
					}
					m.change(members, index)
				}
				sameHashes(t, members)
				if c.IntN(10) == 0 {
					for _, m := range members {
						m.sound(t)
					}
				}
			}
			if len(replies) < 10 || replies[nil] < 50 {
				t.Errorf("too few kinds of replies: %v", replies)
			}
			for _, m := range members {
				must(t, m.Purged(context.Background()))
				m.sound(t)
				must(t, m.Close())
			}
		})
	}
}

func (m *member) change(members []*member, index uint64) {
	m.t.Helper()
	switch m.IntN(30) {
	case 0:
		must(m.t, m.Prepare())
	case 1:
		must(m.t, m.Close())
		m.open()
	case 2:
		must(m.t, m.Purged(context.Background()))
	case 3:
		must(m.t, m.Reclaim(context.Background()))
	case 4:
		m.dirs++
		dir := fmt.Sprintf("image-%d", m.dirs)
		must(m.t, m.disk.MkdirAll(dir, 0o755))
		must(m.t, m.Checkpoint(dir))
		if m.IntN(2) == 0 {
			must(m.t, m.Restore(dir, index))
			return
		}
		must(m.t, m.Close())
		m.dir = fmt.Sprintf("kv-%d", m.dirs)
		must(m.t, m.disk.MkdirAll(m.dir, 0o755))
		m.open()
		must(m.t, m.Restore(dir, index))
	}
}

func sameHashes(t *testing.T, members []*member) {
	t.Helper()
	var sum uint32
	for i, m := range members {
		h, _, err := m.Hash(context.Background())
		must(t, err)
		if i > 0 && h != sum {
			t.Fatalf("member %d has hash %08x, another one %08x", i, h, sum)
		}
		sum = h
	}
}
