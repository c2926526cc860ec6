package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Policy is what a cluster aims at. It is in the log, so that whoever leads goes
// by it. The zero value of a field means the stated default.
type Policy struct {
	// TargetVoters is how many members shall vote; odd. Default: 5, or 3 with
	// fewer than five members, or 1 with fewer than three.
	TargetVoters int `json:"target_voters,omitempty"`
	// Floor is below how many voters no change may bring the cluster, neither
	// one of its own nor a removal. Default: as many as there should be now.
	Floor int `json:"floor,omitempty"`
	// Stability is for how long a learner must have answered without a break
	// before it is promoted. Default: 10 heartbeats.
	Stability Duration `json:"stability,omitempty"`
	// DeadAfter is after how long a silence a voter makes room for a standby
	// that is ready. It stays a learner. Default 30 s.
	DeadAfter Duration `json:"dead_after,omitempty"`
	// RemoveAfter is after how long a silence a member that has been replaced
	// is removed, for good. Default 24 h.
	RemoveAfter Duration `json:"remove_after,omitempty"`
	// JoinExpiry is after how long a member that was admitted and has never
	// shown up is removed. Default 10 min.
	JoinExpiry Duration `json:"join_expiry,omitempty"`
	// LeaderZones are the zones that the leader should be in, best first.
	// Default: any.
	LeaderZones []string `json:"leader_zones,omitempty"`
	// Paused is why nothing is changed automatically, in the words of who
	// paused it; empty: it isn't. What is asked for by name goes on.
	Paused string `json:"paused,omitempty"`
}

// DefaultTargetVoters is [Policy.TargetVoters] for five members or more.
const DefaultTargetVoters = 5

// Duration is a time.Duration whose text is "1m30s", or "never" for [Never].
type Duration time.Duration

// Never is a time that does not come.
const Never Duration = -1

// String is the text.
func (d Duration) String() string {
	if d < 0 {
		return "never"
	}
	return time.Duration(d).String()
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	if string(b) == "never" {
		*d = Never
		return nil
	}
	v, err := time.ParseDuration(string(b))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no duration: want one such as 90s, 10m or 24h, or never", b)
	}
	*d = Duration(v)
	return nil
}

// PolicyKeys are the settings that [Policy.Set] knows, sorted.
func PolicyKeys() []string {
	return []string{"dead-after", "floor", "join-expiry", "leader-zones", "paused", "remove-after", "stability", "target-voters"}
}

// Set changes one setting; the empty value brings its default back. On an error
// nothing is changed. It doesn't look at the others, see [Policy.Validate].
func (p *Policy) Set(key, value string) error {
	next := *p
	if err := next.set(key, value); err != nil {
		return err
	}
	*p = next
	return nil
}

func (p *Policy) set(key, value string) error {
	var err error
	switch key {
	case "target-voters":
		if p.TargetVoters, err = number(value); err == nil && value != "" && p.TargetVoters%2 == 0 {
			err = fmt.Errorf("%d: want an odd number; an even one survives no more failures than the odd one below it", p.TargetVoters)
		}
	case "floor":
		p.Floor, err = number(value)
	case "stability":
		if p.Stability, err = duration(value); p.Stability < 0 {
			err = errors.New("never: no learner would ever be promoted")
		}
	case "dead-after":
		p.DeadAfter, err = duration(value)
	case "remove-after":
		p.RemoveAfter, err = duration(value)
	case "join-expiry":
		p.JoinExpiry, err = duration(value)
	case "leader-zones":
		p.LeaderZones, err = zones(value)
	case "paused":
		p.Paused = value
	default:
		return fmt.Errorf("unknown setting %q: the settings are %s", key, strings.Join(PolicyKeys(), ", "))
	}
	if err != nil {
		return fmt.Errorf("%s %w", key, err)
	}
	return nil
}

// Get is a setting's value as Set takes it; empty for the default.
func (p *Policy) Get(key string) string {
	switch key {
	case "target-voters":
		return nonzero(p.TargetVoters != 0, strconv.Itoa(p.TargetVoters))
	case "floor":
		return nonzero(p.Floor != 0, strconv.Itoa(p.Floor))
	case "stability":
		return nonzero(p.Stability != 0, p.Stability.String())
	case "dead-after":
		return nonzero(p.DeadAfter != 0, p.DeadAfter.String())
	case "remove-after":
		return nonzero(p.RemoveAfter != 0, p.RemoveAfter.String())
	case "join-expiry":
		return nonzero(p.JoinExpiry != 0, p.JoinExpiry.String())
	case "leader-zones":
		return strings.Join(p.LeaderZones, ",")
	case "paused":
		return p.Paused
	}
	return ""
}

// Edited is a copy of p with the settings of edits changed, or every fault of
// edits and of what they lead to.
func (p Policy) Edited(edits map[string]string) (Policy, error) {
	p.LeaderZones = slices.Clone(p.LeaderZones)
	var faults []error
	for _, key := range slices.Sorted(maps.Keys(edits)) {
		faults = append(faults, p.Set(key, edits[key]))
	}
	faults = append(faults, p.Validate())
	return p, errors.Join(faults...)
}

// Or is p with the settings that it leaves at their defaults taken from o.
func (p Policy) Or(o Policy) Policy {
	for _, key := range PolicyKeys() {
		if p.Get(key) == "" {
			_ = p.Set(key, o.Get(key)) // what Get gives, Set takes
		}
	}
	return p
}

// Validate reports every fault at once.
func (p Policy) Validate() error {
	var faults []error
	var again Policy
	for _, key := range PolicyKeys() {
		if err := again.Set(key, p.Get(key)); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) == 0 && !slices.Equal(again.LeaderZones, p.LeaderZones) {
		faults = append(faults, fmt.Errorf("leader-zones %q: want the names of different zones, without commas", p.LeaderZones))
	}
	if target := cmp.Or(p.TargetVoters, DefaultTargetVoters); p.Floor > target {
		faults = append(faults, fmt.Errorf("floor %d: want 1 to target-voters (%d)", p.Floor, target))
	}
	return errors.Join(faults...)
}

func zones(s string) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	all := strings.Split(s, ",")
	for i, z := range all {
		if z == "" || slices.Contains(all[:i], z) {
			return nil, fmt.Errorf("%q: want the names of different zones", s)
		}
	}
	return all, nil
}

func number(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%q: want a positive number", s)
	}
	return n, nil
}

func duration(s string) (d Duration, err error) {
	if s != "" {
		err = d.UnmarshalText([]byte(s))
	}
	return d, err
}

func nonzero(set bool, s string) string {
	if !set {
		return ""
	}
	return s
}
