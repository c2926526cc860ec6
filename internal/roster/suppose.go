package roster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/musterhq/muster/cluster"
)

// supposition is one thing that is supposed.
type supposition struct{ verb, object string }

const suppositionForms = "remove NAME, fail NAME, recover NAME, add [ZONE], set KEY=VALUE; several separated by commas"

// parseSuppositions reads what is supposed. What follows a comma without being
// one of the forms goes on with the value that is set before it: leader-zones
// holds commas.
func parseSuppositions(text string) ([]supposition, error) {
	var all []supposition
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		verb, object, _ := strings.Cut(strings.TrimSpace(part), " ")
		x := supposition{verb, strings.TrimSpace(object)}
		if n := len(all); n > 0 && all[n-1].verb == "set" && !slices.Contains([]string{"remove", "fail", "recover", "add", "set"}, verb) {
			all[n-1].object += "," + part
			continue
		}
		if !x.wellFormed() {
			return nil, fmt.Errorf("%q can't be supposed: want %s", strings.TrimSpace(part), suppositionForms)
		}
		all = append(all, x)
	}
	return all, nil
}

func (x supposition) wellFormed() bool {
	switch x.verb {
	case "remove", "fail", "recover":
		return x.object != ""
	case "add":
		return true
	case "set":
		key, _, ok := strings.Cut(x.object, "=")
		return ok && key != ""
	}
	return false
}

// edit changes the policy, all at once: one setting may need another.
func (w *world) edit(all []supposition) error {
	edits := map[string]string{}
	for _, x := range all {
		if key, value, _ := strings.Cut(x.object, "="); x.verb == "set" {
			edits[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	edited, err := w.policy.Edited(edits)
	if err != nil && len(edits) > 0 {
		return err
	}
	if _, ok := edits["paused"]; ok || edited.Paused != "" {
		w.Paused = edited.Paused
	}
	w.policy = edited
	return nil
}

// suppose makes one supposition true, policies excepted.
func (w *world) suppose(x supposition) error {
	switch x.verb {
	case "set":
		return nil
	case "add":
		w.add(x.object)
		return nil
	}
	at, err := w.resolve(x.object)
	if err != nil {
		return err
	}
	m := &w.Members[at]
	switch x.verb {
	case "fail":
		if m.Active || m.Member.ID == w.Leader {
			m.Active, m.ActiveTicks, m.SilentTicks, m.CaughtUp, m.Snapshotting = false, 0, 0, false, false
		}
	case "recover":
		*m = w.well(m.Member)
	case "remove":
		w.remove(*m)
	}
	w.elect()
	return nil
}

// remove removes a member because that is supposed, or notes why not. A leader
// hands leadership over before, if there is another voter.
func (w *world) remove(m MemberSeen) {
	c, why := PlanRemove(w.Seen, w.rules, m.Member.ID, false)
	if to := w.furthest(c); why == nil && m.Member.ID == w.Leader && to.Member.ID != 0 {
		w.do(Change{Lead: to.Member.ID}, Why{say(to, codeAskedFor, "", "takes leadership over from %s, which is to be removed", name(m))})
		c, why = PlanRemove(w.Seen, w.rules, m.Member.ID, false)
	}
	if w.refused = why; why == nil {
		w.do(c, Why{say(m, codeAskedFor, "", "is removed because that is supposed")})
	}
}

// add lets a member join.
func (w *world) add(zone string) {
	m := cluster.Member{ID: 1, Name: "new", Zone: zone, Role: cluster.Learner}
	for n := 2; slices.ContainsFunc(w.Members, func(o MemberSeen) bool { return o.Member.Name == m.Name }); n++ {
		m.Name = fmt.Sprintf("new-%d", n)
	}
	for _, o := range w.Members {
		if o.Member.ID >= m.ID {
			m.ID = o.Member.ID + 1
		}
	}
	w.Members = append(w.Members, w.well(m))
}

// well is a member that is as it should be.
func (w *world) well(m cluster.Member) MemberSeen {
	return MemberSeen{Member: m, Match: w.LastIndex, Active: true, ActiveTicks: w.rules.withDefaults().StabilityTicks, CaughtUp: true}
}

// resolve finds a member by its name, of a pair the successor, or by its ID.
func (w *world) resolve(text string) (int, error) {
	at := -1
	var names []string
	for i, m := range w.Members {
		if m.Member.Name == text && (at < 0 || succeeds(m, w.Members[at])) {
			at = i
		}
		names = append(names, name(m))
	}
	if id, err := cluster.ParseNodeID(text); at < 0 && err == nil {
		at = slices.IndexFunc(w.Members, func(m MemberSeen) bool { return m.Member.ID == id })
	}
	if at < 0 {
		return 0, fmt.Errorf("no member is called %q: the members are %s (want %s)", text, strings.Join(names, ", "), suppositionForms)
	}
	return at, nil
}
