package kv

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	"github.com/musterhq/muster/statemachine"
)

// TestRevokeOneRevision: the keys of a lease go in one revision, in their
// order, and only those that still hang on it.
func TestRevokeOneRevision(t *testing.T) {
	d := newDriver(t)
	d.do(&pb.LeaseGrantRequest{ID: 7, TTL: 60})
	d.do(&pb.LeaseGrantRequest{ID: 8, TTL: 60})
	for _, key := range []string{"b", "c", "a", "moved", "freed", "deleted"} {
		d.do(&pb.PutRequest{Key: []byte(key), Lease: 7})
	}
	d.do(&pb.PutRequest{Key: []byte("moved"), Lease: 8})
	d.do(&pb.PutRequest{Key: []byte("freed")})
	d.delete("deleted")
	d.do(&pb.PutRequest{Key: []byte("c"), IgnoreLease: true})
	before, _ := d.Revision()
	r := d.do(&pb.LeaseRevokeRequest{ID: 7})
	if got := r.Response.(*pb.LeaseRevokeResponse).Header.Revision; r.Err != nil || got != before+1 {
		t.Errorf("revoked at revision %d, %v; want %d", got, r.Err, before+1)
	}
	resp := d.get(&pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}})
	var left []string
	for _, kv := range resp.Kvs {
		left = append(left, string(kv.Key))
	}
	if want := []string{"freed", "moved"}; !slices.Equal(left, want) || resp.Header.Revision != before+1 {
		t.Errorf("left are %q at %d, want %q at %d", left, resp.Header.Revision, want, before+1)
	}
	if r := d.do(&pb.LeaseRevokeRequest{ID: 7}); !errors.Is(r.Err, ErrLeaseNotFound) {
		t.Errorf("revoke again: %v, want %v", r.Err, ErrLeaseNotFound)
	}
	d.do(&pb.LeaseGrantRequest{ID: 9, TTL: 60})
	if r := d.do(&pb.LeaseRevokeRequest{ID: 9}); r.Response.(*pb.LeaseRevokeResponse).Header.Revision != before+1 {
		t.Errorf("a lease without keys took a revision: %v", r.Response)
	}
}

// lead gives the store a command of the leader of term.
func (d *driver) lead(cmd []byte, err error) error {
	d.Helper()
	must(d, err)
	d.index++
	res, err := d.Apply(d.index, []statemachine.Entry{{Index: d.index, Command: cmd, Wanted: true}})
	must(d, err)
	return res[0].(Reply).Err
}

func noteTTL(id, remaining int64) *pb.LeaseCheckpointRequest {
	return &pb.LeaseCheckpointRequest{Checkpoints: []*pb.LeaseCheckpoint{{ID: id, Remaining_TTL: remaining}}}
}

// TestDeposedLeader: what a leader decided by its clock is refused once a later
// one took the leases over, and also before it took them over itself.
func TestDeposedLeader(t *testing.T) {
	disk := vfs.NewMem()
	must(t, disk.MkdirAll("kv", 0o755))
	d := &driver{TB: t, Store: New(smallOptions(disk))}
	_, err := d.Open("kv")
	must(t, err)
	d.do(&pb.LeaseGrantRequest{ID: 7, TTL: 60})
	if err := d.lead(EncodeLeaseExpiry(4, 7)); !errors.Is(err, ErrLeaseTerm) {
		t.Errorf("expiry before the leases were taken over: %v", err)
	}
	must(t, d.lead(EncodeLeaseCheckpoint(4, 1, &pb.LeaseCheckpointRequest{})))
	must(t, d.lead(EncodeLeaseCheckpoint(4, 2, noteTTL(7, 30))))
	must(t, d.lead(EncodeLeaseCheckpoint(6, 3, &pb.LeaseCheckpointRequest{})))
	if err := d.lead(EncodeLeaseCheckpoint(6, 3, noteTTL(7, 1))); !errors.Is(err, ErrLeaseTerm) {
		t.Errorf("a note that comes again: %v", err)
	}
	must(t, d.Close())

	d.Store = New(smallOptions(disk))
	_, err = d.Open("kv")
	must(t, err)
	defer d.Close()
	if err := d.lead(EncodeLeaseCheckpoint(4, 4, noteTTL(7, 1))); !errors.Is(err, ErrLeaseTerm) {
		t.Errorf("note of a deposed leader: %v", err)
	}
	if err := d.lead(EncodeLeaseExpiry(4, 7)); !errors.Is(err, ErrLeaseTerm) {
		t.Errorf("expiry by a deposed leader: %v", err)
	}
	if l, ok := d.Lease(7); !ok || l.Remaining != 30 {
		t.Errorf("the lease is %v, %v; want 30 s left", l, ok)
	}
	must(t, d.lead(EncodeLeaseExpiry(6, 7)))
	if _, ok := d.Lease(7); ok {
		t.Error("the lease is still there")
	}
}

// TestFollowerHearsAll: a lease that is revoked and granted anew in one Apply
// call is another one.
func TestFollowerHearsAll(t *testing.T) {
	d := newDriver(t)
	d.do(&pb.LeaseGrantRequest{ID: 7, TTL: 5})
	var f follower
	d.FollowLeases(&f)
	var entries []statemachine.Entry
	for _, cmd := range [][]byte{
		encode(t, &pb.LeaseRevokeRequest{ID: 7}),
		encode(t, &pb.LeaseGrantRequest{ID: 7, TTL: 50}),
		encode(t, &pb.LeaseGrantRequest{ID: 7, TTL: 500}), // refused
		encode(t, noteTTL(7, 40)),
	} {
		d.index++
		entries = append(entries, statemachine.Entry{Index: d.index, Command: cmd})
	}
	_, err := d.Apply(d.index, entries)
	must(t, err)
	want := []leaseChange{{leaseGone, Lease{ID: 7}}, {leaseGranted, Lease{ID: 7, TTL: 50}}, {leaseNoted, Lease{7, 50, 40}}}
	if !slices.Equal(f.log, want) {
		t.Errorf("heard %v, want %v", f.log, want)
	}
}

// TestRefusedLeaseCommand: nobody hears of what was taken back.
func TestRefusedLeaseCommand(t *testing.T) {
	d := newDriver(t)
	var f follower
	d.FollowLeases(&f)
	must(t, d.lead(EncodeLeaseCheckpoint(3, 5, &pb.LeaseCheckpointRequest{})))
	a := &d.applier
	if _, err := a.grant(&pb.LeaseGrantRequest{ID: 7, TTL: 5}, false); err != nil {
		t.Fatal(err)
	}
	if _, err := a.note(9, 1, noteTTL(7, 3), false); err != nil {
		t.Fatal(err)
	}
	a.facts.rollback()
	d.put("a", "1")
	if _, ok := d.Lease(7); ok || len(f.log) > 0 || d.known.leases.term != 3 || d.known.leases.seq != 5 {
		t.Errorf("of refused commands there is: lease %v, heard %v, term %d", ok, f.log, d.known.leases.term)
	}
}

// TestLeaseAgainInOneCall: what hung on a lease that went in an Apply call does not
// hang on one of the same ID that comes in it; and what is put on that one does.
func TestLeaseAgainInOneCall(t *testing.T) {
	d := newDriver(t)
	d.do(&pb.LeaseGrantRequest{ID: 7, TTL: 5})
	d.do(&pb.PutRequest{Key: []byte("old"), Lease: 7})
	before, _ := d.Revision()
	var entries []statemachine.Entry
	for _, cmd := range []proto.Message{
		&pb.LeaseRevokeRequest{ID: 7}, &pb.LeaseGrantRequest{ID: 7, TTL: 5}, &pb.LeaseRevokeRequest{ID: 7},
		&pb.LeaseGrantRequest{ID: 7, TTL: 5}, &pb.PutRequest{Key: []byte("new"), Lease: 7}, &pb.LeaseRevokeRequest{ID: 7},
	} {
		d.index++
		entries = append(entries, statemachine.Entry{Index: d.index, Command: encode(t, cmd)})
	}
	_, err := d.Apply(d.index, entries)
	must(t, err)
	if after, _ := d.Revision(); after != before+3 {
		t.Errorf("it took %d revisions, want 3", after-before)
	}
	if n := d.get(&pb.RangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}).Count; n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

// TestDamagedLeaseCommand: one that is cut short is refused, as all are.
func TestDamagedLeaseCommand(t *testing.T) {
	d := newDriver(t)
	for _, op := range []byte{opLeaseGrant, opLeaseRevoke, opLeaseCheckpoint} {
		for _, cmd := range [][]byte{{op, 1}, {op, 0, 0, 0, 0, 0, 0, 0, 0, 0xff}, {op, 15: 1, 17: 0xff}} {
			if err := d.lead(cmd, nil); !errors.Is(err, ErrBadCommand) {
				t.Errorf("%x: %v, want %v", cmd, err, ErrBadCommand)
			}
		}
	}
}

// BenchmarkLeaseChurn grants a lease, hangs a key on it and revokes it, with
// 10,000 leases alive.
func BenchmarkLeaseChurn(b *testing.B) {
	d := newDriver(b)
	const alive = 10_000
	one := func(i int) {
		d.do(&pb.LeaseGrantRequest{ID: int64(1 + i), TTL: 60})
		d.do(&pb.PutRequest{Key: fmt.Appendf(nil, "key-%d", i), Lease: int64(1 + i)})
	}
	for i := range alive {
		one(i)
	}
	i := alive
	for b.Loop() {
		one(i)
		d.do(&pb.LeaseRevokeRequest{ID: int64(1 + i - alive)})
		i++
	}
}

// BenchmarkLeasesOver revokes a thousand leases in one Apply call.
func BenchmarkLeasesOver(b *testing.B) {
	d := newDriver(b)
	const many = 1000
	for b.Loop() {
		b.StopTimer()
		var revokes []statemachine.Entry
		for id := range int64(many) {
			d.do(&pb.LeaseGrantRequest{ID: 1 + id, TTL: 60})
			d.do(&pb.PutRequest{Key: fmt.Appendf(nil, "key-%d", id), Lease: 1 + id})
			revokes = append(revokes, statemachine.Entry{Command: encode(b, &pb.LeaseRevokeRequest{ID: 1 + id})})
		}
		d.index++
		for i := range revokes {
			revokes[i].Index = d.index
		}
		b.StartTimer()
		_, err := d.Apply(d.index, revokes)
		must(b, err)
	}
}

// BenchmarkLeaseLives has leases come, take a key and go in one Apply
// call, as when a member catches up. What it takes is in proportion to their number.
func BenchmarkLeaseLives(b *testing.B) {
	for _, many := range []int64{1000, 16_000} {
		b.Run(fmt.Sprint(many), func(b *testing.B) {
			d := newDriver(b)
			for b.Loop() {
				var lives []statemachine.Entry
				for id := range many {
					for _, r := range []proto.Message{
						&pb.LeaseGrantRequest{ID: 1 + id, TTL: 60},
						&pb.PutRequest{Key: fmt.Appendf(nil, "key-%d", id), Lease: 1 + id},
						&pb.LeaseRevokeRequest{ID: 1 + id},
					} {
						d.index++
						lives = append(lives, statemachine.Entry{Index: d.index, Command: encode(b, r)})
					}
				}
				_, err := d.Apply(d.index, lives)
				must(b, err)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(int64(b.N)*many), "µs/lease")
		})
	}
}
