package formation

import "slices"

// Offer takes addresses that a source outside has found: some that may be
// peers, as few, as old or as wrong as they may be. Each is only asked who it
// is, as a seed is; who founds or joins is decided by what they answer. What
// was offered once is not taken back by a shorter offer. Static and Single take
// none: their founders are told by name.
func (f *Former) Offer(addrs []string) {
	if f.done || f.cfg.Mode != Dynamic && f.cfg.Mode != JoinOnly {
		return
	}
	for _, addr := range addrs {
		f.learn(addr)
		if p := f.find(addr); p != nil && !p.seed && !p.offered {
			p.offered = true
			p.wait[askProbe] = min(p.wait[askProbe], f.cfg.RetryTicks)
		}
	}
	f.proceed()
}

// told says that somebody has told this node of the address: in its seeds, or
// by an offer. The others it learned from peers.
func (p *peer) told() bool { return p.seed || p.offered }

// toldOf lists these addresses.
func (f *Former) toldOf() []string {
	var addrs []string
	for i := range f.peers {
		if f.peers[i].told() {
			addrs = append(addrs, f.peers[i].addr)
		}
	}
	return addrs
}

// makeRoom forgets the address at which nobody has ever answered for the
// longest, if no more may be learned: sources go on finding others while the old
// ones rot. It says whether there is room.
func (f *Former) makeRoom() bool {
	if len(f.peers) < len(f.cfg.Seeds)+maxLearned {
		return true
	}
	oldest := -1
	for i := range f.peers {
		p := &f.peers[i]
		dead := !p.seed && !p.live && !p.met && !p.open && p.err != ""
		if dead && (oldest < 0 || p.state > f.peers[oldest].state) {
			oldest = i
		}
	}
	if oldest < 0 {
		return false
	}
	f.peers = slices.Delete(f.peers, oldest, oldest+1)
	return true
}
