package etcdapi

import (
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/encoding"
	grpcproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// told is a WatchResponse but for the watch's ID. A put that a thousand watches
// see is encoded once; each of them gets those bytes, and its ID behind them,
// where a decoder of protobuf takes a field as well as in front.
type told struct {
	header   header
	events   []*mvccpb.Event
	fragment bool
	bytes    mem.Buffer // not counted: the garbage collector frees it
}

// header is a ResponseHeader by value.
type header struct {
	clusterID, memberID, term uint64
	revision                  int64
}

// keptBytes bounds the response that is kept for other streams to use, the newest.
// Its events keep the memory of what was written in one go with them, too.
const keptBytes = 64 << 10

// tellable returns the response, the one that another stream has told if that is
// the same.
func (s *Server) tellable(h *pb.ResponseHeader, events []*mvccpb.Event, fragment bool) (*told, error) {
	at := header{clusterID: h.ClusterId, memberID: h.MemberId, term: h.RaftTerm, revision: h.Revision}
	if t := s.newest.Load(); t != nil && t.header == at && t.fragment == fragment && slices.Equal(t.events, events) {
		return t, nil
	}
	encoded, err := proto.Marshal(&pb.WatchResponse{Header: h, Events: events, Fragment: fragment})
	if err != nil {
		return nil, err
	}
	t := &told{header: at, events: events, fragment: fragment, bytes: mem.SliceBuffer(encoded)}
	if len(encoded) <= keptBytes {
		s.newest.Store(t)
	}
	return t, nil
}

// watchIDField is how a WatchResponse says for which watch it is.
func watchIDField(id int64) mem.Buffer {
	const field = 2 // of WatchResponse: watch_id
	return mem.SliceBuffer(protowire.AppendVarint(protowire.AppendTag(nil, field, protowire.VarintType), uint64(id)))
}

// encoded is a message that needs no encoding any more.
type encoded struct{ buffers [2]mem.Buffer }

// codec is gRPC's own for protobuf, and lets encoded messages pass.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(grpcproto.Name)} }

// Marshal implements encoding.CodecV2. gRPC keeps the slice, but not v.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if e, ok := v.(*encoded); ok {
		return slices.Clone(e.buffers[:]), nil
	}
	return c.CodecV2.Marshal(v)
}
