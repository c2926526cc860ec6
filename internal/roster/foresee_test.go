package roster

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/race"
)

// TestForeseeEnds: whatever is supposed of whatever cluster, it comes to rest;
// and as things stand, what is foreseen first is what is planned.
func TestForeseeEnds(t *testing.T) {
	const tick = cluster.Duration(time.Second)
	longest, refused := 0, 0
	for seed := range uint64(race.Share(10000)) {
		r := rand.New(rand.NewPCG(seed, 7))
		s, rules := anything(r)
		p := cluster.Policy{TargetVoters: []int{0, 1, 3, 5, 7}[r.IntN(5)], DeadAfter: cluster.Duration(rules.DeadTicks) * tick, LeaderZones: rules.LeaderZones}
		suppose := supposing(r, s)
		before := fmt.Sprintf("%+v", s)
		f, err := Foresee(s, p, tick, suppose)
		again, _ := Foresee(s, p, tick, suppose)
		switch {
		case fmt.Sprintf("%+v", s) != before:
			t.Fatalf("seed %d: if %s: it happened", seed, suppose)
		case err != nil:
			t.Fatalf("seed %d: if %s: %v", seed, suppose, err)
		case !reflect.DeepEqual(f, again):
			t.Fatalf("seed %d: two answers to one question", seed)
		case len(f.Changes) >= event.MaxForecast || f.Refused != nil && len(f.Changes) > 0:
			t.Fatalf("seed %d: if %s: %d changes", seed, suppose, len(f.Changes))
		}
		longest = max(longest, len(f.Changes))
		if f.Refused != nil {
			refused++
		}
		if c, _ := Plan(s, PolicyOf(p, tick)); suppose == "" && !c.Empty() {
			x := f.Changes[0]
			if got := (Change{Promote: x.Promote, Demote: x.Demote, Remove: x.Remove, Lead: x.Lead}); !reflect.DeepEqual(got, c) || len(x.Why) == 0 {
				t.Fatalf("seed %d: foreseen %+v, planned %s", seed, x, c.words())
			}
		}
	}
	if longest < 5 || refused == 0 {
		t.Errorf("at most %d changes, %d refused: the test tries too little", longest, refused)
	}
}

// supposing supposes up to three things, and nothing of one that is removed.
func supposing(r *rand.Rand, s Seen) string {
	var all []string
	removed := map[cluster.NodeID]bool{}
	for range r.IntN(4) {
		id := s.Members[r.IntN(len(s.Members))].Member.ID
		verb := []string{"remove", "fail", "recover", "add", "add b", "set target-voters=3", "set leader-zones=c,a"}[r.IntN(7)]
		switch verb {
		case "remove", "fail", "recover":
			if removed[id] {
				continue
			}
			removed[id] = verb == "remove"
			verb += " " + id.String()
		}
		all = append(all, verb)
	}
	return strings.Join(all, ", ")
}
