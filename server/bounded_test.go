package server

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// endless is a JSON string that never ends; it counts what is read of it.
type endless struct{ read int64 }

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'A'
	}
	if e.read == 0 {
		copy(b, `{"key":"`)
	}
	e.read += int64(len(b))
	return len(b), nil
}

// A message is refused at the gateway before it is in memory.
func TestGatewayReadsNoEndlessMessage(t *testing.T) {
	const limit = 8 << 10
	s, _ := single(t, func(c *Config) { c.Limits.RequestBytes = 1 << 20 })
	// Little more, which is read before the connection is closed.
	body := io.LimitReader(&endless{}, jsonPerByte*int64(s.api.MaxMessageBytes())+4<<10)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}).Post("http://"+s.ClientAddr()+"/v3/kv/put", "application/json", body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 400 || !strings.Contains(string(b), "--max-request-bytes") {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
	// Each message of a stream has the limit for itself.
	in := &endless{}
	d := bounded{marshaler(), limit}.NewDecoder(io.MultiReader(strings.NewReader(strings.Repeat(`{"a":"`+strings.Repeat("x", limit/2)+`"}`, 100)), io.LimitReader(in, 1<<20)))
	for i := range 100 {
		var v map[string]string
		if err := d.Decode(&v); err != nil || len(v["a"]) != limit/2 {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	var v map[string]string
	if err := d.Decode(&v); err == nil || in.read > 2*limit {
		t.Errorf("after %d bytes: %v", in.read, err)
	}
}
