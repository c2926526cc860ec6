package apiserver

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/retry"
)

// testConflicts counts with many writers on one object, which lose to each other
// most of the time.
func testConflicts(t *testing.T, _ *members, s *server) {
	ctx := t.Context()
	namespace(t, s, "conflicts")
	maps := s.client.CoreV1().ConfigMaps("conflicts")
	if _, err := maps.Create(ctx, configMap("count", "0"), meta.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var conflicts atomic.Int64
	const n = 300
	patient := retry.DefaultRetry
	patient.Steps, patient.Jitter = 1000, 1
	inParallel(t, 20, n, func(int) error {
		return retry.OnError(patient, apierrors.IsConflict, func() error {
			m, err := maps.Get(ctx, "count", meta.GetOptions{})
			if err != nil {
				return err
			}
			before, err := strconv.Atoi(m.Data["k0"])
			if err != nil {
				return err
			}
			m.Data["k0"] = strconv.Itoa(before + 1)
			if _, err = maps.Update(ctx, m, meta.UpdateOptions{}); apierrors.IsConflict(err) {
				conflicts.Add(1)
			}
			return err
		})
	})
	m, err := maps.Get(ctx, "count", meta.GetOptions{})
	if err != nil || m.Data["k0"] != strconv.Itoa(n) {
		t.Errorf("counted to %v of %d: %v", m.Data, n, err)
	}
	t.Logf("%d conflicts", conflicts.Load())
}

// testElection has three candidates lead one after the other, and never two.
func testElection(t *testing.T, _ *members, s *server) {
	namespace(t, s, "election")
	var leading atomic.Int64
	var done sync.WaitGroup
	led := make(chan string, 3)
	for i := range 3 {
		name := fmt.Sprint("candidate", i)
		lock := &resourcelock.LeaseLock{
			LeaseMeta: meta.ObjectMeta{Namespace: "election", Name: "leader"}, Client: s.client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: name},
		}
		ctx, cancel := context.WithCancel(t.Context())
		done.Go(func() {
			leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
				Lock: lock, ReleaseOnCancel: true,
				LeaseDuration: 30 * time.Second, RenewDeadline: 20 * time.Second, RetryPeriod: 500 * time.Millisecond,
				Callbacks: leaderelection.LeaderCallbacks{
					OnStartedLeading: func(context.Context) {
						if n := leading.Add(1); n != 1 {
							t.Errorf("%d lead", n)
						}
						led <- name
						leading.Add(-1)
						cancel()
					},
					OnStoppedLeading: func() {},
				},
			})
		})
	}
	done.Wait()
	if len(led) != 3 {
		t.Errorf("%d have led", len(led))
	}
}

// testEvents sees an event end with the lease that the server gives it.
func testEvents(t *testing.T, _ *members, s *server) {
	ctx := t.Context()
	namespace(t, s, "events")
	events := s.client.CoreV1().Events("events")
	const n = 100
	inParallel(t, 8, n, func(i int) error {
		_, err := events.Create(ctx, &core.Event{
			ObjectMeta: meta.ObjectMeta{Name: fmt.Sprint("e", i)}, Reason: "Test", Type: "Normal",
			InvolvedObject: core.ObjectReference{Kind: "ConfigMap", Namespace: "events", Name: "m"},
		}, meta.CreateOptions{})
		return err
	})
	made := time.Now()
	w, err := events.Watch(ctx, meta.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	eventually(t, "the events are over", 5*time.Minute, func() bool {
		list, err := events.List(ctx, meta.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Since(made); left < eventTTL-2*time.Second && len(list.Items) != n {
			t.Fatalf("%d events after %v", len(list.Items), left)
		}
		return len(list.Items) == 0
	})
	t.Logf("events of a TTL of %v were over after %v", eventTTL, time.Since(made))
}
