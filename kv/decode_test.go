package kv

import (
	"bytes"
	"testing"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"
)

// FuzzDecodePut: where the plain decoder says yes, protobuf's own agrees.
func FuzzDecodePut(f *testing.F) {
	for _, r := range []*pb.PutRequest{
		{},
		{Key: []byte("a"), Value: []byte("v")},
		{Key: []byte("a"), Lease: -1, PrevKv: true, IgnoreValue: true, IgnoreLease: true},
	} {
		b, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(append(b, "\x0a\x01b\x20\x00"...)) // fields again: the last counts
	}
	f.Add([]byte("\x8a\x00\x01a"))                                // a tag of two bytes
	f.Add([]byte("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")) // a length beyond the end
	f.Add([]byte("\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02")) // a varint of more than 64 bits
	f.Add([]byte("\x08\x01\x12\x00"))                             // key as a varint
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := decodePlainPut(b)
		if !ok {
			return
		}
		var r pb.PutRequest
		if err := proto.Unmarshal(b, &r); err != nil {
			t.Fatalf("%x: decoded what protobuf refuses: %v", b, err)
		}
		want := putOf(&r)
		if !bytes.Equal(p.key, want.key) || !bytes.Equal(p.value, want.value) || p.lease != want.lease ||
			p.prevKV != want.prevKV || p.ignoreValue != want.ignoreValue || p.ignoreLease != want.ignoreLease {
			t.Fatalf("%x: %+v, protobuf says %+v", b, p, want)
		}
	})
}

// TestDecodePutIsPlain: what EncodePut writes takes the short way.
func TestDecodePutIsPlain(t *testing.T) {
	r := &pb.PutRequest{Key: []byte("k"), Value: []byte("v"), Lease: 1, PrevKv: true, IgnoreValue: true, IgnoreLease: true}
	cmd, err := EncodePut(r)
	must(t, err)
	p, ok := decodePlainPut(cmd[1:])
	if !ok || string(p.key) != "k" || string(p.value) != "v" || p.lease != 1 || !p.prevKV || !p.ignoreValue || !p.ignoreLease {
		t.Errorf("%+v, %v", p, ok)
	}
}

// FuzzApply: no command, however damaged, panics or stops the member, unless
// it is of an unknown kind. Nor does what it leaves behind keep the store from
// being opened.
func FuzzApply(f *testing.F) {
	t := requests{newRand(1), 10}
	for range 30 {
		f.Add(encode(f, t.write()))
	}
	add := func(cmd []byte, err error) {
		must(f, err)
		f.Add(cmd)
		f.Add(EncodeAs(Caller{"root", 5}, cmd))
	}
	add(EncodeLeaseExpiry(1, 7))
	add(EncodePut(&pb.PutRequest{Key: []byte("k"), Lease: 7}))
	for _, r := range []proto.Message{
		&pb.AuthUserAddRequest{Name: "root", HashedPassword: "eA=="}, &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"},
		&pb.AuthRoleAddRequest{Name: "r"}, grant("r", "a", "b", authpb.READWRITE), &pb.AuthEnableRequest{},
		&pb.InternalAuthenticateRequest{Name: "root", SimpleToken: "t"}, &pb.AuthDisableRequest{},
	} {
		add(EncodeAuth(r))
	}
	d := newDriver(f)
	f.Fuzz(func(t *testing.T, cmd []byte) {
		if !isKnown(cmd) {
			return
		}
		d.TB = t
		if _, err := d.applyRaw(cmd); err != nil {
			t.Fatal(err)
		}
		d.soundMemory(t, nil)
	})
}
