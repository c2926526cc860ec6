package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/kv"
)

// measured is a store of which only the size counts.
type measured struct {
	store
	used, after int64
	written     int64
	compacted   int64
	reclaimed   int
	alarms      []*pb.AlarmMember
}

func (m *measured) Used() int64               { return m.used }
func (m *measured) Written() int64            { return m.written }
func (m *measured) Alarms() []*pb.AlarmMember { return m.alarms }
func (m *measured) Revision() (int64, int64)  { return 1, m.compacted }
func (m *measured) Reclaim(context.Context) error {
	m.reclaimed++
	m.used = m.after
	return nil
}

func TestQuotaCounts(t *testing.T) {
	m := &measured{used: 500, written: 10_000}
	q := newQuota(1000, m)
	if !q.Admit(499) || q.Admit(500) {
		t.Error("500 of 1000 bytes are used, and a request of 499 is refused or one of 500 taken")
	}
	m.written += 100
	if !q.Admit(399) || q.Admit(400) {
		t.Error("what was written since the measurement doesn't count")
	}
	if m.used = 550; q.tend(context.Background(), time.Now()) || !q.Admit(449) || q.Admit(450) {
		t.Error("what was measured doesn't take the place of what was counted")
	}
}

// TestQuotaReclaims: at once, then less and less often, and at once again when
// more was compacted.
func TestQuotaReclaims(t *testing.T) {
	m := &measured{used: 1200, after: 1200}
	q := newQuota(1000, m)
	now := time.Unix(0, 0)
	ctx := context.Background()
	var at []time.Duration
	for s := range 120 {
		before := m.reclaimed
		if !q.tend(ctx, now.Add(time.Duration(s)*time.Second)) {
			t.Fatal("the quota is not exceeded")
		}
		if m.reclaimed > before {
			at = append(at, time.Duration(s))
		}
	}
	if want := []time.Duration{0, 10, 30, 70}; len(at) != len(want) || at[1] != want[1] || at[2] != want[2] || at[3] != want[3] {
		t.Errorf("reclaimed at %d s, want %d", at, want)
	}
	m.compacted, m.after = 5, 900
	if q.tend(ctx, now.Add(121*time.Second)) {
		t.Error("exceeded after space was given back")
	}
	if n := m.reclaimed; q.tend(ctx, now.Add(time.Hour)) || m.reclaimed != n {
		t.Error("space is reclaimed though there is enough")
	}
}

// TestQuotaReclaimsWhileAlarmed: what is refused never gets into the store, so
// that the quota is not exceeded when the alarm is raised.
func TestQuotaReclaimsWhileAlarmed(t *testing.T) {
	m := &measured{used: 950, after: 950, alarms: []*pb.AlarmMember{{Alarm: pb.AlarmType_NOSPACE, MemberID: 1}}}
	q := newQuota(1000, m)
	if q.tend(context.Background(), time.Unix(100, 0)) || m.reclaimed != 1 {
		t.Errorf("reclaimed %d times with the alarm raised, want once", m.reclaimed)
	}
	m.alarms = []*pb.AlarmMember{{Alarm: pb.AlarmType_CORRUPT}}
	if q.tend(context.Background(), time.Unix(1000, 0)) || m.reclaimed != 1 {
		t.Error("reclaimed without need")
	}
}

// TestQuotaReclaimsWhatWasRefused: whoever compacts and disarms the alarm at once,
// before anybody looked, finds room soon after, or when Reclaim returns.
func TestQuotaReclaimsWhatWasRefused(t *testing.T) {
	for _, asked := range []bool{false, true} {
		m := &measured{used: 950, after: 500}
		q := newQuota(1000, m)
		if err := q.Reclaim(t.Context()); err != nil || m.reclaimed != 0 {
			t.Fatalf("reclaimed %d times without need, %v", m.reclaimed, err)
		}
		if q.Admit(60) {
			t.Fatal("taken")
		}
		if asked {
			if err := q.Reclaim(t.Context()); err != nil {
				t.Fatal(err)
			}
		} else {
			q.tend(t.Context(), time.Unix(100, 0))
		}
		if m.reclaimed != 1 || !q.Admit(60) {
			t.Errorf("asked %v: reclaimed %d times", asked, m.reclaimed)
		}
		q.tend(t.Context(), time.Unix(1000, 0))
		if m.reclaimed != 1 {
			t.Errorf("asked %v: reclaimed though there is enough", asked)
		}
	}
}

// TestAlarmsAndHealth: a raised alarm is ill health until it is left out.
func TestAlarmsAndHealth(t *testing.T) {
	r := newRig(t)
	r.raise(context.Background(), pb.AlarmType_NOSPACE, 1)
	r.raise(context.Background(), pb.AlarmType_NOSPACE, 1) // is raised already
	if n := len(r.store.Alarms()); n != 1 || r.node.index != 1 {
		t.Fatalf("%d alarms, %d proposals; want one of each", n, r.node.index)
	}
	for path, want := range map[string]string{
		"/health":                   `503 {"health":"false","reason":"ALARM NOSPACE"}`,
		"/health?serializable=true": `503 {"health":"false","reason":"ALARM NOSPACE"}`,
		"/health?exclude=NOSPACE":   `200 {"health":"true","reason":""}`,
		"/health?exclude=CORRUPT":   `503 {"health":"false","reason":"ALARM NOSPACE"}`,
		"/readyz":                   "200 ok",
	} {
		if got := r.answer(t, path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	r.raise(context.Background(), pb.AlarmType_CORRUPT, 1)
	if got := r.answer(t, "/readyz"); !strings.HasPrefix(got, "503 ") || !strings.Contains(got, "[-]data_corruption failed: ALARM CORRUPT") {
		t.Errorf("/readyz: %s", got)
	}
	if got := r.answer(t, "/readyz?exclude=data_corruption"); got != "200 ok" {
		t.Errorf("/readyz without the alarm: %s", got)
	}
}

// Whoever raises an alarm, each member's log says once what it keeps from
// happening, and when it is over.
func TestAlarmsAreLogged(t *testing.T) {
	r := newRig(t)
	out := &logged{}
	s := &Server{log: slog.New(slog.NewTextHandler(out, nil)), store: r.store, node: r.node}
	r.raise(t.Context(), pb.AlarmType_NOSPACE, 1)
	told := s.logAlarmsSince(nil)
	told = s.logAlarmsSince(told)
	if got := out.String(); strings.Count(got, "alarm NOSPACE") != 1 || !strings.Contains(got, "etcdctl alarm disarm") {
		t.Errorf("raised: %s", got)
	}
	cmd, err := kv.EncodeAlarm(&pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, Alarm: pb.AlarmType_NOSPACE, MemberID: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.node.Propose(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
	s.logAlarmsSince(told)
	if got := out.String(); !strings.Contains(got, "the alarm NOSPACE was cleared") {
		t.Errorf("cleared: %s", got)
	}
}

func (r *rig) answer(t *testing.T, path string) string {
	t.Helper()
	code, body := r.do(t, http.MethodGet, path)
	return fmt.Sprintf("%d %s", code, strings.TrimSpace(body))
}
