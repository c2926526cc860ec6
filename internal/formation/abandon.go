package formation

import (
	"fmt"
	"slices"

	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/wire"
)

// Codes with which Abandon says no; stable.
const (
	codeNothingHeld  = "nothing_accepted"
	codeNoFounder    = "no_such_founder"
	codeStillThere   = "still_answers"
	codeNotAllNamed  = "not_all_named"
	codeNobodyGone   = "nobody_gone"
	codeAbandoned    = "abandoned"
	codeBeingChecked = "being_asked"
	codeClusterCame  = "cluster_exists"
)

// Abandon gives up the genesis that this node accepted, on the word of an
// operator: the founders that he names, by name or incarnation, are gone for
// good, and so is any cluster that they may have founded by it. It is refused,
// with a *wire.Nack, where that is known to be wrong or not enough: a named one
// answers, one that doesn't answer is not named, or nothing is held. It is said
// about the founders of each genesis that was given up for this one, too: who
// gives this one up forgets them, and one of those may have moved, and have
// founded (see against).
// codeBeingChecked is no answer yet: ask again.
//
// What the next Effects save is a fence: this node never accepts nor commits
// that genesis again, so that a founder which comes back with it after all can
// found nothing by it, for every founder is needed. The others that accepted it
// go on holding it until they are told as well, and nobody founds beside them
// before (see choose). So it takes the word at each of them, and a cluster
// comes of the rest only when all that are left have given it up.
//
// Two clusters can come of it only if the word was wrong: if those that were
// named, or members that they let in, had founded and go on somewhere.
func (f *Former) Abandon(gone []string) error {
	switch {
	case f.done:
		return &wire.Nack{Code: codeNotBlank, Reason: "this node is in a cluster: nothing keeps it from one"}
	case f.unreadable():
		return &wire.Nack{Code: codeMalformed, Reason: "this node can't read the genesis that it accepted; start the version of muster that wrote it"}
	case f.accepted == nil:
		return &wire.Nack{Code: codeNothingHeld, Reason: "this node has accepted no genesis that it could give up; it is for the nodes that `muster why` names as holding one"}
	}
	named, err := f.resolve(gone)
	if err != nil {
		return err
	}
	if err := f.confirm(named); err != nil {
		return err
	}
	names := make([]string, len(named))
	for i, x := range named {
		names[i] = x.Name
	}
	f.out.Events = append(f.out.Events, event.GenesisAbandoned{Cluster: f.acceptedID, Gone: names})
	f.d.Abandoned = append(slices.Clone(f.d.Abandoned), f.acceptedID)
	f.d.Stage, f.d.Accepted, f.d.Genesis, f.dirty = wire.Promised, wire.Ballot{}, nil, true
	f.setAccepted()
	f.try, f.blocked, f.quiet = nil, nil, 0
	f.proceed()
	return nil
}

// vouched are the founders of the accepted genesis, and of those that were given
// up for it: whom an operator's word is about. Each disk once.
func (f *Former) vouched() []wire.Identity {
	var all []wire.Identity
	for _, founders := range append([][]wire.Identity{f.accepted.Founders}, f.accepted.Instead...) {
		for _, x := range founders {
			if !slices.ContainsFunc(all, func(o wire.Identity) bool { return sameDisk(o, x) }) {
				all = append(all, x)
			}
		}
	}
	return all
}

// resolve finds those that are named. A name that several disks had, one after
// the other, stands for those that don't answer.
func (f *Former) resolve(gone []string) ([]wire.Identity, error) {
	var named []wire.Identity
	for _, word := range gone {
		found := slices.DeleteFunc(f.vouched(), func(x wire.Identity) bool { return x.Name != word && x.Incarnation.String() != word })
		silent := slices.DeleteFunc(slices.Clone(found), func(x wire.Identity) bool { return sameDisk(x, f.cfg.Self) || f.answering(x) != nil })
		switch {
		case len(found) == 0:
			return nil, &wire.Nack{Code: codeNoFounder, Reason: fmt.Sprintf("%q is none of those with whom this node accepted to found, which are %s", word, f.coFounders())}
		case len(silent) == 0 && sameDisk(found[0], f.cfg.Self):
			return nil, &wire.Nack{Code: codeStillThere, Reason: fmt.Sprintf("%q is this very node", word)}
		case len(silent) > 0:
			found = silent
		}
		for _, x := range found {
			if !slices.ContainsFunc(named, func(o wire.Identity) bool { return sameDisk(o, x) }) {
				named = append(named, x)
			}
		}
	}
	return named, nil
}

// answering is where a disk answers, nil if it doesn't.
func (f *Former) answering(x wire.Identity) *peer {
	k := slices.IndexFunc(f.peers, func(p peer) bool { return p.live && sameDisk(p.hello.Self, x) })
	if k < 0 {
		return nil
	}
	return &f.peers[k]
}

// confirm holds the operator's word against what this node sees.
func (f *Former) confirm(named []wire.Identity) error {
	for _, x := range f.vouched() {
		f.learn(x.PeerAddr) // the seeds may be others by now
	}
	for _, x := range f.vouched() {
		if sameDisk(x, f.cfg.Self) {
			continue
		}
		if p := f.find(x.PeerAddr); p != nil && !p.met && !p.self && p.refusal == nil && p.err == "" {
			f.probe()
			return &wire.Nack{Code: codeBeingChecked, Reason: fmt.Sprintf("%s at %s is being asked whether it is there; try again in a few seconds", x.Name, x.PeerAddr)}
		}
		at := f.answering(x)
		answers := at != nil
		isNamed := slices.ContainsFunc(named, func(o wire.Identity) bool { return sameDisk(o, x) })
		switch {
		case isNamed && answers:
			return &wire.Nack{Code: codeStillThere, Reason: fmt.Sprintf("%s (incarnation %s) still answers: it is not gone", x.Name, x.Incarnation)}
		case answers && at.in(f.cfg.Cluster) && !f.accepted.Has(x.Incarnation):
			return &wire.Nack{Code: codeClusterCame, Reason: fmt.Sprintf("%s (incarnation %s) is in cluster %s, and was to found before this genesis was accepted: a cluster may have come of that; "+
				"start this node with an empty data directory, and it joins", x.Name, x.Incarnation, at.hello.ClusterID)}
		case !isNamed && !answers:
			return &wire.Nack{Code: codeNotAllNamed, Reason: fmt.Sprintf("%s (incarnation %s) doesn't answer either, and was not named: start it, or name all that are gone for good", x.Name, x.Incarnation)}
		}
	}
	if !slices.ContainsFunc(named, func(x wire.Identity) bool { return f.accepted.Has(x.Incarnation) }) {
		return &wire.Nack{Code: codeNobodyGone, Reason: "nobody is gone: all with whom this node accepted to found answer: it goes on by itself"}
	}
	return nil
}

// abandoned says that this node gave up that genesis for good.
func (f *Former) abandoned(raw []byte) bool {
	return slices.Contains(f.d.Abandoned, wire.GenesisID(raw))
}

// gaveUp is a member of a cluster whose genesis was given up here, nil if none
// was seen.
func (f *Former) gaveUp() *peer {
	k := slices.IndexFunc(f.peers, func(p peer) bool {
		return p.in(f.cfg.Cluster) && slices.Contains(f.d.Abandoned, p.hello.ClusterID)
	})
	if k < 0 {
		return nil
	}
	return &f.peers[k]
}

// holders names those that hold an accepted genesis, as far as this node sees.
func (f *Former) holders() []string {
	var names []string
	if f.d.Stage == wire.Accepted {
		names = append(names, f.cfg.Self.Name)
	}
	for i := range f.peers {
		if p := &f.peers[i]; p.live && !p.self && p.hello.Stage == wire.Accepted && p.hello.Cluster == f.cfg.Cluster {
			names = append(names, p.hello.Self.Name)
		}
	}
	return sortedSet(names)
}
