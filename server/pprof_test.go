package server

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Profiles are there when they were asked for, and never for pages of web sites.
func TestProfiles(t *testing.T) {
	without, _ := single(t, nil)
	if code, _, _ := getOver(t, "http://"+without.ClientAddr()+"/debug/pprof/", nil, false); code != http.StatusNotFound {
		t.Errorf("nobody asked for profiles: %d", code)
	}
	s, log := single(t, func(c *Config) { c.HTTP.Profiles, c.HTTP.CORS = true, []string{"*"} })
	for path, says := range map[string]string{
		"": "full goroutine stack dump", "goroutine?debug=1": "goroutine profile:", "heap?debug=1": "heap profile:",
		"mutex?debug=1": "sampling period=5", "cmdline": "server.test", "symbol": "num_symbols",
	} {
		req, err := http.NewRequest("GET", "http://"+s.ClientAddr()+"/debug/pprof/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", "https://elsewhere.example")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !strings.Contains(string(body), says) {
			t.Errorf("%s: %d %.200s", path, resp.StatusCode, body)
		}
		if resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: a page of another web site may read it", path)
		}
	}
	log.until(t, "profiles of this process")

	// One that would take its time holds up nobody who stops the server.
	answered := make(chan error, 1)
	go func() {
		_, _, err := getOver(t, "http://"+s.ClientAddr()+"/debug/pprof/trace?seconds=3600", nil, false)
		answered <- err
	}()
	tracing := func() bool {
		_, stacks, err := getOver(t, "http://"+s.ClientAddr()+"/debug/pprof/goroutine?debug=2", nil, false)
		return err == nil && strings.Contains(stacks, "net/http/pprof.Trace(")
	}
	for began := time.Now(); !tracing(); time.Sleep(time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatal("no trace is taken")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Errorf("the trace was not ended in order: %v", err)
	}
}
