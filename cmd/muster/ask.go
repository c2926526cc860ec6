package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/server"
)

// maxAnswerBytes bounds what an endpoint may answer.
const maxAnswerBytes = 64 << 20

// ask sends one HTTP request to the first endpoint that can be reached and
// decodes its JSON answer into v.
func (f *clientFlags) ask(ctx context.Context, method, path string, v any) (endpoint string, err error) {
	return f.tell(ctx, method, path, nil, v)
}

// tell is ask with something to say, as JSON.
func (f *clientFlags) tell(ctx context.Context, method, path string, say, v any) (endpoint string, err error) {
	err = anyEndpoint(f, func(e string) error {
		endpoint = e
		return f.tellOne(ctx, method, e, path, say, v)
	})
	return endpoint, err
}

func (f *clientFlags) askOne(ctx context.Context, method, endpoint, path string, v any) error {
	return f.tellOne(ctx, method, endpoint, path, nil, v)
}

func (f *clientFlags) tellOne(ctx context.Context, method, endpoint, path string, say, v any) error {
	var said io.Reader
	if say != nil {
		b, err := json.Marshal(say)
		if err != nil {
			return err
		}
		said = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, cluster.URL(endpoint)+path, said)
	if err != nil {
		return usage("endpoint %q: %v", endpoint, err)
	}
	if f.login.name != "" && method != http.MethodGet { // who only asks need not say who
		req.SetBasicAuth(f.login.name, f.login.password)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: f.secret}}
	resp, err := client.Do(req)
	if err != nil {
		return lost(method, endpoint, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return lost(method, endpoint, err)
	}
	if resp.StatusCode != http.StatusOK {
		return refusedBy(endpoint, resp, body)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("what answers at %s is no muster: %w", endpoint, err)
	}
	return nil
}

// lost tells a request that didn't arrive from one without an answer.
func lost(method, endpoint string, err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return &unreachable{endpoint, op}
	}
	if trouble := tlsTrouble(endpoint, err); trouble != nil {
		return trouble
	}
	if method == http.MethodGet {
		return fmt.Errorf("no answer from %s: %w", endpoint, err)
	}
	return &coded{exitUnknown, fmt.Errorf("no answer from %s, so nobody knows whether it happened (look with `muster status`): %w", endpoint, err)}
}

func refusedBy(endpoint string, resp *http.Response, body []byte) error {
	if resp.StatusCode == http.StatusBadRequest && strings.HasPrefix(string(body), server.SpeaksTLS) {
		return &hinted{fmt.Errorf("the client port at %s speaks TLS", endpoint), "Ask it with --endpoint https://" + endpoint + ", and name the authority of its certificate with --cacert FILE."}
	}
	e := &server.Error{}
	if err := json.Unmarshal(body, e); err != nil || e.Code == "" {
		return fmt.Errorf("what answers at %s is no muster: %s: %s", endpoint, resp.Status, strings.TrimSpace(string(body[:min(len(body), 200)])))
	}
	return e
}
