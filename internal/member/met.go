package member

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/musterhq/muster/cluster"
	"github.com/musterhq/muster/internal/wire"
)

// meetings are what a member knows of the others' runs.
type meetings struct {
	known  acquaintances
	saved  map[cluster.NodeID]wire.Run // as on disk
	saving bool                        // it is being written
	asking map[cluster.NodeID]bool     // a challenge is under way

	strangers []stranger // oldest first
}

// acquaintance is what a member knows of another's runs.
type acquaintance struct {
	met     wire.Run // the newest that was let in
	cleared string   // boot of a later one at another address, after which nobody answered at the old one
	copied  string   // boot of one that said Hello while an earlier one still ran
}

// acquaintances are never changed, since views have them; they are replaced.
type acquaintances map[cluster.NodeID]acquaintance

func (a acquaintances) with(id cluster.NodeID, k acquaintance) acquaintances {
	out := maps.Clone(a)
	out[id] = k
	return out
}

func (a acquaintances) runs() map[cluster.NodeID]wire.Run {
	out := make(map[cluster.NodeID]wire.Run, len(a))
	for id, k := range a {
		out[id] = k.met
	}
	return out
}

func acquainted(runs map[cluster.NodeID]wire.Run) acquaintances {
	out := make(acquaintances, len(runs))
	for id, r := range runs {
		out[id] = acquaintance{met: r}
	}
	return out
}

// peersDoc is the durable document of the runs that were met.
type peersDoc struct {
	Met map[cluster.NodeID]wire.Run `json:"met"`
}

// judgeRun holds the peer's run against those that were met. A disk that was
// put back to an older image has forgotten what its member had acknowledged
// and whom it had voted for, and a copy of a disk may vote a second time: such
// a one must not take part, whoever it believes to be.
func (v *View) judgeRun(peer wire.Hello) (wire.RefusalCode, string) {
	id := peer.Self.NodeID
	k, known := v.known[id]
	if !known || peer.Run() == k.met {
		return "", ""
	}
	var what string
	switch m, isMember := v.Membership.Member(id); {
	case peer.Epoch < k.met.Epoch:
		what = fmt.Sprintf("its epoch is %d, but epoch %d was met", peer.Epoch, k.met.Epoch)
	case !peer.Follows(k.met):
		what = fmt.Sprintf("its epoch is %d, and its epoch %d is not the one that was met", peer.Epoch, k.met.Epoch)
	case k.copied != "" && slices.Contains(peer.Boots, k.copied):
		what = fmt.Sprintf("its epoch is %d, and an earlier run still answered when it had begun", peer.Epoch)
	case isMember && peer.Run().Boot != k.cleared && v.Addr(m) != peer.Self.PeerAddr:
		return wire.RefusedMoving, fmt.Sprintf("it was at %s before: asking there whether it has left", v.Addr(m))
	default:
		return "", ""
	}
	return wire.RefusedRolledBack, "an older image of its disk, or a copy, is running: " + what
}

// RolledBack says why a peer must not be heard any more, though it was let in:
// a later run of its disk was met since. nil: it may.
func (v *View) RolledBack(peer wire.Hello) *wire.Refusal {
	code, why := v.judgeRun(peer)
	if code != wire.RefusedRolledBack {
		return nil
	}
	return &wire.Refusal{Code: code, Reason: why, From: v.cfg.Self, Member: v.Status.ClusterID}
}

// newRun says that a peer of the same cluster shows a run that is not known yet.
func (v *View) newRun(peer wire.Hello) bool {
	if !v.InCluster() || peer.ClusterID != v.Status.ClusterID || len(peer.Boots) == 0 {
		return false
	}
	k, known := v.known[peer.Self.NodeID]
	return k.met != peer.Run() && (known || v.isMember(peer.Self.NodeID) || len(v.known) < maxHints)
}

// meet remembers the run of a peer that was let in: from now on, and across
// restarts as soon as it is written.
func (m *Member) meet(peer wire.Hello) {
	id := peer.Self.NodeID
	k := m.met.known[id]
	k.met, k.cleared = peer.Run(), ""
	m.met.known = m.met.known.with(id, k)
	m.rememberMet()
}

// rememberMet writes what was met, off the loop.
func (m *Member) rememberMet() {
	runs := m.met.known.runs()
	if m.met.saving || maps.Equal(runs, m.met.saved) {
		return
	}
	m.met.saving = true
	var err error
	m.body.Later(func() { err = m.disk.State.SavePeers(peersDoc{runs}) }, func() {
		m.met.saving = false
		if err != nil {
			m.fail(err)
			return
		}
		m.met.saved = runs
		m.rememberMet()
	})
}

// inherit takes over what the leader that admitted this node has met, durably;
// false ends the member.
func (m *Member) inherit(runs map[cluster.NodeID]wire.Run) bool {
	runs = maps.Clone(runs)
	delete(runs, m.cfg.Self.NodeID)
	if err := m.disk.State.SavePeers(peersDoc{runs}); err != nil {
		m.fail(err)
		return false
	}
	m.met.saved, m.met.known = runs, acquainted(runs)
	return true
}

// forgetRemoved drops those that were removed: they are refused for that.
func (m *Member) forgetRemoved(all cluster.Membership) {
	for id := range m.met.known {
		_, gone := all.Tombstone(id)
		if gone && !slices.ContainsFunc(all.Leaving, func(x cluster.Member) bool { return x.ID == id }) {
			known := maps.Clone(m.met.known)
			delete(known, id)
			m.met.known = known
		}
	}
}

// seek greets the seeds and what discovery has found, each in turn, while no
// leader is known: others may all be at other addresses than this member knows
// of, and this member at another than they do. The Hellos are all it takes. With
// a leader it looks now and then at those where no member is that it knows of: it
// may be one of another cluster of that name, and would never be met.
func (m *Member) seek() {
	if m.seeking || m.ticks%uint64(m.cfg.ElectionTicks) != 0 {
		return
	}
	round, addrs := m.ticks/uint64(m.cfg.ElectionTicks), slices.Concat(m.cfg.Seeds, m.found)
	if m.view.Status.Leader != 0 {
		if round%lookRounds != 0 {
			return
		}
		round /= lookRounds
		known := m.peers()
		addrs = slices.DeleteFunc(addrs, func(a string) bool {
			return a == m.cfg.Self.PeerAddr || slices.Contains(slices.Collect(maps.Values(known)), a)
		})
	}
	if len(addrs) == 0 {
		return
	}
	again := m.again != ""
	addr := cmp.Or(m.again, addrs[round%uint64(len(addrs))])
	m.seeking, m.again = true, ""
	m.call(addr, 0, wire.Request{Probe: &wire.Probe{}}, CallPatience, func(_ wire.Response, _ wire.Hello, err error) {
		m.seeking = false
		if r, ok := errors.AsType[*wire.Refusal](err); ok && r.Code == wire.RefusedMoving && !again {
			m.again = addr // one of the two has moved: that is looked into now, and known at the next Hello
		}
	})
}

// challenge asks at the address where a member was, when a later run of it has
// said Hello from another: had the earlier run ended before the later one began,
// it could not answer now, so that the later one runs on a copy.
func (m *Member) challenge(peer wire.Hello) {
	id := peer.Self.NodeID
	mem, ok := m.view.Membership.Member(id)
	if !ok || m.met.asking[id] {
		return
	}
	m.met.asking[id] = true
	m.call(m.view.Addr(mem), 0, wire.Request{Probe: &wire.Probe{}}, CallPatience/2, func(_ wire.Response, there wire.Hello, err error) {
		delete(m.met.asking, id)
		k, known := m.met.known[id]
		var refusal *wire.Refusal
		switch {
		case !known:
			return
		case errors.As(err, &refusal) && refusal.From.NodeID == id:
			return // somebody is there, and doesn't say which run; the next Hello asks again
		case there.Self.NodeID == id && there.Run() != peer.Run() && there.Epoch <= peer.Epoch:
			k.copied = peer.Run().Boot
		default:
			k.cleared = peer.Run().Boot
		}
		m.met.known = m.met.known.with(id, k)
		m.publish()
	})
}
