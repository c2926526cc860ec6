package formation

// A disk that was moved is at the spare host, and its number there says whose it
// was. Number 0 is nobody's: nothing runs there.

// vacant is the spare host before a disk is brought to it.
func (c *catalogue) vacant() *nodeState {
	return c.state(nodeState{disk: disk{c.spare, 0}, n: &node{host: c.hosts[c.spare], cfg: c.cfg[c.spare]}})
}

func (c *catalogue) isVacant(s *nodeState) bool { return s.host == c.spare && s.nth == 0 }

// taken is what a disk is called at the spare host.
func (c *catalogue) taken(d disk) disk { return disk{c.spare, 1 + d.host + d.nth<<3} }

// origin is what a disk was called where it was first.
func (c *catalogue) origin(d disk) disk {
	if d.host != c.spare || d.nth == 0 {
		return d
	}
	return disk{(d.nth - 1) & 7, (d.nth - 1) >> 3}
}

// diskOfNote is the disk that shows itself.
func (c *catalogue) diskOfNote(n *note) disk { return c.origin(disk{n.from, n.disk}) }

// move starts a node's disk at the spare host, and a blank one in its place.
func (c *catalogue) move(s *nodeState) *result {
	r := &result{to: c.boot(disk{s.host, s.nth + 1}, 0, Durable{}), lost: true}
	r.moved = c.boot(c.taken(s.disk), s.nonce+1, s.n.disk)
	if r.moved.n.member() {
		r.notes = c.sights(r.moved.disk, r.moved.n)
	}
	return r
}

// movedIsIn is added to a word: the moved one is in a cluster.
const movedIsIn input = 1 << 18

// wordOf is the input that an operator speaks who knows which disks there are:
// of each host its nth, and behind these what the spare host has.
func (c *catalogue) wordOf(nodes []*nodeState) input {
	in := word
	for h, s := range nodes {
		switch h {
		case c.spare:
			in |= input(s.nth) << 12
			if s.n.member() {
				in |= movedIsIn
			}
		default:
			in |= input(s.nth) << (2 * h)
		}
	}
	return in
}

// word lets an operator give up what a node accepted. He names all whose disks
// are gone. The others answer, the moved one at its new address. Nothing is given
// up where that is in a cluster: who sees it founds by it, or refuses, and who
// doesn't see it refuses, for nobody may name it.
func (c *catalogue) word(s *nodeState, in input) *result {
	w, n := s.copy()
	away := c.origin(disk{c.spare, int(in >> 12 & 0x3f)})
	var gone []string
	for _, x := range n.f.vouched() {
		d := c.diskOf(x.Incarnation)
		if d == s.disk {
			continue
		}
		switch here := int(in>>(2*d.host)&3) == d.nth; {
		case here:
			c.showAt(n, d, d)
		case d == away && in&movedIsIn != 0:
			return &result{to: s}
		case d == away:
			c.showAt(n, c.taken(d), d)
		default:
			gone = append(gone, x.Incarnation.String())
			c.silence(n, d.host)
		}
	}
	if err := n.f.Abandon(gone); err != nil {
		return &result{to: s}
	}
	w.drain(n)
	return c.outcome(s, w, n)
}

// showAt lets a node see a disk where it is, and nobody where it was.
func (c *catalogue) showAt(n *node, at, was disk) {
	if at.host != was.host {
		c.silence(n, was.host)
	}
	if p := n.f.find(c.hosts[at.host]); p != nil && !p.in(n.cfg.Cluster) {
		*p = peer{addr: p.addr, seed: p.seed, live: true, met: true, hello: c.blankHello(at)}
	}
}

// silence lets nobody answer at a host, unless another disk was seen there.
func (c *catalogue) silence(n *node, host int) {
	if p := n.f.find(c.hosts[host]); p != nil && !p.in(n.cfg.Cluster) && !p.live {
		*p = peer{addr: p.addr, seed: p.seed, err: "timed out"}
	}
}
