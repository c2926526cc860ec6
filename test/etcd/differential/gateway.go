package differential

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// jsonForm has a step's request sent as JSON, to the path that etcd gives its
// method.
type jsonForm struct {
	verb     string // "POST"
	lower    bool   // fields are written as in the .proto file, and not in camel case
	defaults bool   // fields that are zero are written, too
	damage   string // what is done to the text: see damaged
	socket   bool   // over a WebSocket
}

// post is call by JSON. The answer is the status code and the body, normal
// already but for the blanks.
func (s *session) post(step Step) Answer {
	method, err := describe(step.Method)
	if err != nil {
		return Answer{Err: err}
	}
	rule, _ := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
	form := protojson.MarshalOptions{UseProtoNames: step.JSON.lower, EmitUnpopulated: step.JSON.defaults}
	text, err := form.Marshal(step.Req)
	if err != nil {
		return Answer{Err: err}
	}
	host := strings.TrimPrefix(s.conn.Target(), "passthrough:///")
	req, err := http.NewRequest(step.JSON.verb, "http://"+host+rule.GetPost(), strings.NewReader(damaged(string(text), step.JSON.damage)))
	if err != nil {
		return Answer{Err: err}
	}
	if token := s.token(step.As); token != "" {
		req.Header.Set("Authorization", token)
	}
	if step.Token != nil {
		req.Header.Set("Authorization", s.signed(step.Token))
	}
	for i := 0; i < len(step.Meta); i += 2 {
		name := step.Meta[i]
		switch name {
		case "authorization":
		case "timeout": // which the gateway gives to the call
			name = "Grpc-Timeout"
		default:
			name = "Grpc-Metadata-" + name
		}
		req.Header.Set(name, step.Meta[i+1])
	}
	client := http.Client{Timeout: callTimeout}
	resp, err := client.Do(req)
	if err != nil {
		return Answer{Err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{Err: err}
	}
	kind := resp.Header.Get("Content-Type")
	return Answer{Messages: []proto.Message{wrapperspb.String(fmt.Sprintf("%d %s %s", resp.StatusCode, kind, s.normalJSON(body)))}}
}

var (
	firstValue = regexp.MustCompile(`:\s*("[^"]*"|[0-9-]+|true|false)`)
	firstName  = regexp.MustCompile(`"[A-Za-z_]+"\s*:`)
)

// damaged is a request's text as a careless client would write it.
func damaged(text, damage string) string {
	how, what, _ := strings.Cut(damage, " ")
	replace := func(re *regexp.Regexp, with string) string {
		at := re.FindStringIndex(text)
		if at == nil {
			return text
		}
		return text[:at[0]] + with + text[at[1]:]
	}
	switch how {
	case "cut":
		return text[:len(text)/2]
	case "value":
		return replace(firstValue, ":"+what)
	case "name":
		return replace(firstName, `"`+what+`":`)
	case "whole":
		return what
	case "after":
		return text + what
	}
	return text
}

// normalJSON is an answer without what is incidental. Text that is no JSON
// stands for itself. protobuf-go writes its errors with one kind of blank or
// another, so that nobody relies on them.
func (s *session) normalJSON(body []byte) string {
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.UseNumber()
	var parts []string
	for {
		var v any
		err := d.Decode(&v)
		if err == io.EOF {
			break
		}
		if err != nil {
			return string(body)
		}
		out, err := json.Marshal(s.normalValue("", v)) // which sorts the names
		if err != nil {
			return string(body)
		}
		parts = append(parts, string(out))
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(strings.Join(parts, " "), "\u00a0", " ")), " ")
}

// incidentalJSON are the names whose values differ from member to member, or
// by the differences of Hashes and Status.
var incidentalJSON = map[string]bool{
	"cluster_id": true, "member_id": true, "raft_term": true, "token": true, "hash": true,
	"version": true, "dbSize": true, "dbSizeInUse": true, "raftIndex": true, "raftAppliedIndex": true,
	"raftTerm": true, "leader": true, "dbSizeQuota": true, "peerURLs": true, "clientURLs": true, "memberID": true,
}

func (s *session) normalValue(name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			switch {
			case k == "dbSizeQuota": // is 0, and so not there, in muster
			case incidentalJSON[k]:
				out[k] = "…"
			default:
				out[k] = s.normalValue(k, e)
			}
		}
		return out
	case []any:
		out := []any{}
		for _, e := range v {
			out = append(out, s.normalValue(name, e))
		}
		if name == "errors" || name == "alarms" { // of alarms, which etcd keeps in a map
			slices.SortFunc(out, func(a, b any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
		return out
	case string:
		if key, err := base64.StdEncoding.DecodeString(v); name == "key" && err == nil {
			return base64.StdEncoding.EncodeToString(s.keyOf(key))
		}
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && n >= drawn && (name == "lease" || name == "ID") {
			if name == "lease" { // an ID may be a member's
				s.learnDrawn(n)
			}
			if i := slices.Index(s.leases, n); i >= 0 {
				return strconv.Itoa(chosenLease - i)
			}
		}
		if name == "ID" && v == strconv.FormatUint(s.selves[0], 10) {
			return "self"
		}
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			switch {
			case n > 0 && revisionName(name):
				return strconv.FormatInt(n-s.base, 10)
			case name == "TTL" && n > passed:
				return "…"
			}
		}
		return alarmOf.ReplaceAllString(v, "memberID:1 ")
	}
	return v
}

// status is the code of an answer to JSON.
func (a Answer) status() string {
	if len(a.Messages) != 1 {
		return ""
	}
	text, _ := a.Messages[0].(*wrapperspb.StringValue)
	code, _, _ := strings.Cut(text.GetValue(), " ")
	return code
}
