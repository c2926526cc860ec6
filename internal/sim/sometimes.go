package sim

import (
	"github.com/musterhq/muster/event"
	"github.com/musterhq/muster/internal/formation"
	"github.com/musterhq/muster/internal/wire"
)

// What must happen now and then over many runs; see [World.sometimes]. A world
// in which it never does is too tame to find anything.
const (
	leaderDied        = "a leader died"
	leaderDiedInJoint = "a leader died in a joint configuration"
	founderDied       = "a founder died between its promise and its founding"
	joinerDied        = "a joiner died before it was a member"
	learnerDied       = "a learner died before its first image"
	imageInstalled    = "an image was installed"
	imageOvertaken    = "an image was refused as overtaken"
	imageDuringChange = "an image was installed during a change of roles"
	logCompacted      = "a log was compacted"
	memberRemoved     = "a member was removed"
	learnerPromoted   = "a learner was promoted"
	voterDemoted      = "a voter was demoted"
	memberJoined      = "a node joined"
	powerInOperation  = "the power went in the midst of an operation"
	diskFailed        = "a write or sync failed"
	diskFull          = "a disk was full"
	messageLost       = "a message was lost"
	messageTwice      = "a message arrived twice"
	streamCut         = "a stream of an image was cut"
	streamUnreported  = "the end of a stream was not reported"
	forwardRejected   = "a forwarded command was rejected"
	unknownHappened   = "an unknown outcome had happened"
	unknownDidNot     = "an unknown outcome had not happened"
	staleLeaderAsked  = "a leader that others had deposed was asked for a read"
	diskWiped         = "a member lost its disk"
	diskRestored      = "an older image was put back on a member's disk"
	diskCloned        = "a copy of a member's disk came up elsewhere"
	memberMoved       = "a member came back at another address"
	rolledBackTold    = "a node heard that its disk is not trusted"
	rolledBackAgain   = "a node that had heard it was refused at its start"
	quorumLost        = "a majority of the voters was down"
	policyChanged     = "the policy was changed"
	changesPaused     = "automatic changes were paused"
	changesResumed    = "automatic changes went on"
	stoodDown         = "a voter that was told to stop gave its role away"
	floorRefused      = "a removal was refused because of the floor"
	belowFloor        = "a removal went below the floor"
	wipedSwapped      = "a wiped voter was swapped for its successor"
	deadReplaced      = "a dead voter was replaced"
	votesSpread       = "a vote was moved to another zone"
	cleanedUp         = "the roster removed a member"
	zoneDown          = "a whole zone was down"
	zoneCut           = "a whole zone was cut off"
	announcedCame     = "a member came that was announced"
	promotedByName    = "a learner was promoted by name"
	operatorUnknown   = "an operator heard unknown"
	operatorRefused   = "an operator heard refused"
	operatorApplied   = "an operator heard applied"

	// Of keyspaces.
	historyCompacted = "history was compacted"
	pastRead         = "a revision of the past was read"
	watchMoved       = "a watch went on at another member"
	watchCompacted   = "a watch heard that what it wanted is compacted"
	leasesTakenOver  = "a leader took leases over"
	leaseEnded       = "a lease ended because its time was over"
	leaseRenewed     = "a lease was renewed"
	renewedAtOnce    = "a lease was renewed without asking a quorum"
	renewedByDeposed = "a deposed leader renewed a lease"
	leaseNoted       = "it was noted what a lease had left"
	noteTakenBack    = "a renewal took a note back"
	expiryTooLate    = "a deposed leader ended a lease, and was refused" // too seldom to be demanded
	lockTaken        = "a lock was taken"
	fencedOff        = "a write was fenced off"
)

// Sometimes lists what should have happened at least once in a thousand runs.
func Sometimes() []string {
	list := []string{
		leaderDied,
		leaderDiedInJoint,
		founderDied,
		joinerDied,
		learnerDied,
		imageInstalled,
		imageOvertaken,
		imageDuringChange,
		logCompacted,
		memberRemoved,
		learnerPromoted,
		voterDemoted,
		memberJoined,
		powerInOperation,
		diskFailed,
		diskFull,
		messageLost,
		messageTwice,
		streamCut,
		streamUnreported,
		forwardRejected,
		unknownHappened,
		unknownDidNot,
		staleLeaderAsked,
		diskWiped,
		diskRestored,
		diskCloned,
		memberMoved,
		rolledBackTold,
		rolledBackAgain,
		quorumLost,
		policyChanged,
		changesPaused,
		changesResumed,
		stoodDown,
		floorRefused,
		belowFloor,
		wipedSwapped,
		deadReplaced,
		votesSpread,
		cleanedUp,
		zoneDown,
		zoneCut,
		announcedCame,
		promotedByName,
		operatorRefused,
		operatorApplied,
		historyCompacted,
		pastRead,
		watchMoved,
		watchCompacted,
		leasesTakenOver,
		leaseEnded,
		leaseRenewed,
		renewedAtOnce,
		renewedByDeposed,
		leaseNoted,
		noteTakenBack,
		lockTaken,
		fencedOff,
	}
	for _, m := range moments {
		list = append(list, ambushed(m))
	}
	return list
}

func ambushed(at moment) string { return "ambushed: " + string(at) }

// notice counts what an event tells of.
func (w *World) notice(p *process, e event.Event) {
	switch e := e.(type) {
	case event.LeaderChanged:
		if e.Leader == p.self.NodeID {
			w.reached(onElected, p)
		}
	case event.MemberAdded:
		if e.Member.Alias != 0 {
			w.sometimes(announcedCame)
		}
		w.reached(onAdded, p)
	case event.Compacted:
		w.sometimes(logCompacted)
	case event.MemberRemoved:
		w.sometimes(memberRemoved)
	case event.Promoted:
		w.sometimes(learnerPromoted)
		w.reached(onPromoted, p)
	case event.Demoted:
		w.sometimes(voterDemoted)
	case event.Joined:
		w.sometimes(memberJoined)
	case event.SnapshotInstalled:
		w.sometimes(imageInstalled)
		for _, o := range w.running() {
			if o.view != nil && o.view.Status.Joint {
				w.sometimes(imageDuringChange)
				break
			}
		}
	}
}

// mourn counts what a death has interrupted.
func (w *World) mourn(p *process) {
	v := p.view
	if v == nil {
		return
	}
	switch s := &v.Status; {
	case s.State == "leader":
		w.sometimes(leaderDied)
		if s.Joint {
			w.sometimes(leaderDiedInJoint)
		}
	case v.Stage == wire.Promised || v.Stage == wire.Accepted:
		w.sometimes(founderDied)
	case !v.InCluster() && p.node.mode == formation.JoinOnly:
		w.sometimes(joinerDied)
	case v.InCluster() && s.Applied == 0:
		w.sometimes(learnerDied)
	}
	voters := w.truth.latest.Voters()
	down := 0
	for _, id := range voters {
		m, _ := w.truth.latest.Member(id)
		if n := w.truth.owners[m.Incarnation]; n == nil || !n.up() || n.proc == p {
			down++
		}
	}
	if len(voters) > 0 && down > len(voters)/2 {
		w.sometimes(quorumLost)
	}
}
