package differential

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// TestDirected compares what programs have no steps for, or only by luck.
func TestDirected(t *testing.T) {
	t.Parallel()
	p := newPair(t, kindOf(t), 1)
	t.Run("downgrade", p.testDowngrade)
	t.Run("hashes", p.testHashes)
	t.Run("compaction", p.testCompaction)
	t.Run("snapshot", p.testSnapshot)
	t.Run("deadlines", p.testDeadlines)
	t.Run("metadata", p.testMetadata)
}

func (p *pair) testDowngrade(t *testing.T) {
	p.t = t
	sessions := p.mustBegin()
	downgrade := func(action pb.DowngradeRequest_DowngradeAction, version string) Step {
		return Step{Method: "Maintenance/Downgrade", Req: &pb.DowngradeRequest{Action: action, Version: version}}
	}
	cancel := downgrade(pb.DowngradeRequest_CANCEL, "")
	p.compare(sessions, cancel)
	for _, version := range []string{"", "3", "3.", "3.6", "3.6.", "3.6.0", "3.6.5", "v3.6.0", " 3.6.0", "3.6.0 ", "3.06.0", "3.6.00", "3.6.0-rc.1", "3.6.0-", "3.6.0+", "3.6.0-+", "3.6.0+x", "3.6.0+x+y", "3.6.0+x-y", "3.6-x", "3.6.0-ü", "3.6.0.1",
		"3.7", "3.7.0", "3.7.3", "3.8.0", "3.5.0", "4.6.0", "2.6.0", "-3.6.0", "3.-6.0", "3.6.x", "x", "99999999999999999999.6.0", "３.６.０"} {
		for _, action := range []pb.DowngradeRequest_DowngradeAction{pb.DowngradeRequest_VALIDATE, pb.DowngradeRequest_ENABLE, 7, -1} {
			p.compare(sessions, downgrade(action, version))
		}
		p.compare(sessions, cancel, cancel)
	}
}

// testHashes has the members hash what is there as of several revisions. Equal
// are whether there is one, errors, and headers; of one system two hashes of the
// same are, too.
func (p *pair) testHashes(t *testing.T) {
	p.t = t
	sessions := p.mustBegin()
	var steps []Step
	put := func(i int) Step {
		return Step{Method: "KV/Put", Req: &pb.PutRequest{Key: fmt.Appendf(nil, "k%d", i%3), Value: fmt.Append(nil, i)}}
	}
	for i := range 6 {
		steps = append(steps, put(i))
	}
	steps = append(steps, Step{Method: "KV/Compact", Req: &pb.CompactionRequest{Revision: 3, Physical: true}})
	for _, rev := range []int64{0, 1, 2, 3, 4, 5, 6, 7, 8, 1 << 62} {
		steps = append(steps, Step{Method: "Maintenance/HashKV", Req: &pb.HashKVRequest{Revision: rev}})
	}
	p.compare(sessions, steps...)
	for i, s := range sessions {
		hash := func(rev int64) uint32 {
			ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
			defer cancel()
			resp, err := pb.NewMaintenanceClient(s.conn).HashKV(ctx, &pb.HashKVRequest{Revision: s.base + rev})
			if err != nil {
				t.Fatalf("%s: %v", p.kinds[i].Name, err)
			}
			return resp.Hash
		}
		at5, at6 := hash(5), hash(6)
		s.play(put(7))
		if hash(5) != at5 || hash(6) != at6 || at5 == at6 || hash(7) == at6 {
			t.Errorf("%s: the hashes of a revision change, or those of two are equal", p.kinds[i].Name)
		}
	}
}

func (p *pair) testCompaction(t *testing.T) {
	p.t = t
	sessions := p.mustBegin()
	compact := func(rev int64, physical bool) Step {
		return Step{Method: "KV/Compact", Req: &pb.CompactionRequest{Revision: rev, Physical: physical}}
	}
	p.compare(sessions,
		Step{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("a")}},
		Step{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("b")}},
		Step{Method: "KV/DeleteRange", Req: &pb.DeleteRangeRequest{Key: []byte("a")}},
		Step{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("b")}},
		compact(1, true), compact(1, true), compact(1, false), compact(2, false), compact(2, true), compact(0, true), compact(-1, true),
		compact(5, true), compact(4, true), compact(4, true), compact(1<<62, true),
		Step{Method: "KV/Range", Req: &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("c"), Revision: 4}},
		Step{Method: "KV/Range", Req: &pb.RangeRequest{Key: []byte("a"), RangeEnd: []byte("c"), Revision: 3}})
}

// testSnapshot holds the stream of a snapshot to what both do: each message says
// how many bytes are to come, and the last is the hash of the others.
func (p *pair) testSnapshot(t *testing.T) {
	p.t = t
	for i, s := range p.mustBegin() {
		s.play(Step{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("a"), Value: bytes.Repeat([]byte("random?"), 100_000)}})
		if err := s.checkSnapshot(); err != nil {
			t.Errorf("%s: %v", p.kinds[i].Name, err)
		}
	}
}

func (s *session) checkSnapshot() error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	stream, err := pb.NewMaintenanceClient(s.conn).Snapshot(ctx, &pb.SnapshotRequest{})
	if err != nil {
		return err
	}
	sum, left, before := sha256.New(), uint64(0), (*pb.SnapshotResponse)(nil)
	for n := 0; ; n++ {
		r, err := stream.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if r.Header != nil || r.Version != storageVersion {
			return fmt.Errorf("message %d: header %v, version %q", n, r.Header, r.Version)
		}
		if before != nil {
			sum.Write(before.Blob)
			if last := before.RemainingBytes == 0; !last && r.RemainingBytes+uint64(len(r.Blob)) != left {
				return fmt.Errorf("message %d holds %d bytes, and %d are to come; there were %d", n, len(r.Blob), r.RemainingBytes, left)
			}
		}
		before, left = r, r.RemainingBytes
	}
	if before == nil || left != 0 || !bytes.Equal(before.Blob, sum.Sum(nil)) {
		return fmt.Errorf("the last message is no hash of the others, or says that %d bytes are to come", left)
	}
	return nil
}

// testDeadlines has clients say how long they wait: not at all, or for long. By
// gRPC it is the client that gives up, in whatever server; the gateway is one.
func (p *pair) testDeadlines(t *testing.T) {
	p.t = t
	sessions := p.mustBegin()
	for _, timeout := range []string{"1n", "0S", "-1S", "1u", "20S", "1H", "99999999H", "999999999H", "1", "S", "x", "1s", ""} {
		for _, step := range []Step{
			{Method: "KV/Range", Req: &pb.RangeRequest{Key: []byte("a")}},
			{Method: "Maintenance/Status", Req: &pb.StatusRequest{}},
			{Method: "Cluster/MemberList", Req: &pb.MemberListRequest{}},
			{Method: "Lease/LeaseLeases", Req: &pb.LeaseLeasesRequest{}},
		} {
			step.JSON, step.Meta = &jsonForm{verb: "POST"}, []string{"timeout", timeout}
			p.compare(sessions, step)
		}
	}
}

// testMetadata sends what servers look at beside the request, by gRPC and by the
// gateway.
func (p *pair) testMetadata(t *testing.T) {
	p.t = t
	sessions := p.mustBegin()
	watch := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("a")}}}
	for _, meta := range [][]string{
		{"hasleader", "true"}, {"hasleader", "TRUE"}, {"hasleader", ""}, {"hasleader", "false", "hasleader", "true"},
		{"client-api-version", "3.7"}, {"client-api-version", ""}, {"client-api-version", "\xff"}, {"client-api-version", "ü"},
		{"token", ""}, {"token", "\xff"}, {"token-bin", "x"}, {"grpcgateway-accept", "x"}, {"muster-on-behalf", "root"}, {"content-type", "text/plain"}, {"user-agent", "x"},
	} {
		for _, step := range []Step{
			{Method: "KV/Range", Req: &pb.RangeRequest{Key: []byte("a")}},
			{Method: "KV/RangeStream", Req: &pb.RangeRequest{Key: []byte("a")}},
			{Method: "KV/Put", Req: &pb.PutRequest{Key: []byte("a")}},
			{Method: "Lease/LeaseKeepAlive", Req: &pb.LeaseKeepAliveRequest{ID: 1}},
			{Method: watchMethod, Req: watch},
			{Method: "Maintenance/Status", Req: &pb.StatusRequest{}},
		} {
			step.Meta = meta
			p.compare(sessions, step, Step{Method: syncMethod}, Step{Method: closeMethod})
			if step.Method == "KV/Range" || step.Method == "KV/Put" {
				step.JSON = &jsonForm{verb: "POST"}
				p.compare(sessions, step)
			}
		}
	}
}
