package differential

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// watchProgram watches what requests of the other services do.
func watchProgram(g *gen) program {
	g.lease, g.slow = g.one(3), true
	prog := program{exact: g.one(2)}
	for range 10 + g.IntN(50) {
		var step Step
		switch n := g.IntN(100); {
		case n < 30:
			step = g.watchStep(prog.exact)
		case n < 40 && g.lease:
			step = g.leaseStep()
		default:
			step = g.kvStep()
		}
		if !prog.exact && hurries(step) {
			prog.steps = append(prog.steps, Step{Method: syncMethod})
		}
		prog.steps = append(prog.steps, step)
	}
	return prog
}

// hurries tells the steps before which the watches must have told what they
// have to tell: it would be chance whether they still do afterwards.
func hurries(step Step) bool {
	r, _ := step.Req.(*pb.WatchRequest)
	return step.Method == closeMethod || step.Method == "KV/Compact" || r.GetCancelRequest() != nil || r.GetCreateRequest() != nil
}

func (g *gen) watchStep(exact bool) Step {
	stream := g.IntN(maxStreams)
	switch n := g.IntN(20); {
	case n == 0:
		return Step{Method: closeMethod, Stream: stream}
	case n < 4:
		return Step{Method: watchMethod, Stream: stream, Req: &pb.WatchRequest{
			RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: g.watchID()}}}}
	case n < 6 && exact:
		return Step{Method: watchMethod, Stream: stream, Req: &pb.WatchRequest{
			RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}}}
	case n == 6:
		return Step{Method: watchMethod, Stream: stream, Req: &pb.WatchRequest{}}
	default:
		return Step{Method: watchMethod, Stream: stream, Req: &pb.WatchRequest{
			RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: g.watchCreate()}}}
	}
}

func (g *gen) watchCreate() *pb.WatchCreateRequest {
	key := g.key()
	w := &pb.WatchCreateRequest{
		Key: key, RangeEnd: g.end(key), StartRevision: g.sometimes(2),
		PrevKv: g.one(2), Fragment: g.one(4), ProgressNotify: g.one(4),
	}
	if g.one(3) {
		w.WatchId = g.watchID()
	}
	for range g.IntN(6) - 3 {
		w.Filters = append(w.Filters, pb.WatchCreateRequest_FilterType(g.IntN(2)))
	}
	if g.one(40) {
		w.Filters = append(w.Filters, 7)
	}
	return w
}

// watchID is of few, the first of which a server chooses, too.
func (g *gen) watchID() int64 {
	if g.one(10) {
		return pick[int64](g, -1, -2, 77)
	}
	return g.Int64N(5)
}
