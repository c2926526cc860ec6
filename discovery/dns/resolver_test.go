package dns

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"
)

// TestSilentServer: a server that never answers doesn't keep a lookup from
// ending with its context, though Go's resolver would wait five seconds for
// each of its tries.
func TestSilentServer(t *testing.T) {
	for _, srv := range []bool{false, true} {
		t.Run(fmt.Sprint("srv ", srv), func(t *testing.T) {
			silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
			ctx, cancel := context.WithCancel(t.Context())
			r := resolverUntil(ctx)
			dial := r.Dial
			r.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dial(ctx, "udp", silent.LocalAddr().String())
			}
			done := make(chan time.Duration)
			var ended time.Time
			go func() {
				(&Provider{Name: "x.test.", SRV: srv, Resolver: r}).Find(ctx, "a:1", func([]string, error) {})
				done <- time.Since(ended)
			}()
			buf := make([]byte, 512)
			if _, _, err := silent.ReadFrom(buf); err != nil { // the question is out
				t.Fatal(err)
			}
			ended = time.Now()
			cancel()
			if took := <-done; took > 3*time.Second {
				t.Errorf("Find returned %v after its context had ended", took)
			}
		})
	}
}

// TestDefaultResolver: by default a lookup ends with Find's context.
func TestDefaultResolver(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	l, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := resolverUntil(ctx).Dial(t.Context(), "udp", l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, ok := c.(net.PacketConn); !ok {
		t.Error("the resolver would take this connection for a stream")
	}
	cancel()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("read something")
	}
}
