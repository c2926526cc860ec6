package sim

import "fmt"

// zoneOf is where the n-th machine stands.
func (w *World) zoneOf(n int) string {
	if w.plan.zones == 0 {
		return ""
	}
	return fmt.Sprintf("z%d", 1+n%w.plan.zones)
}

// zone lists the machines of the zone that the fault strikes; none where there
// are no zones.
func (w *World) zone(f Fault) (struck []*node) {
	for _, n := range w.nodes {
		if n.zone != "" && n.zone == w.node(f.A).zone {
			struck = append(struck, n)
		}
	}
	return struck
}

// zoneDown ends all that runs in a zone.
func (w *World) zoneDown(f Fault) {
	struck := w.zone(f)
	for _, n := range struck {
		n.kill()
	}
	if len(struck) > 0 {
		w.sometimes(zoneDown)
	}
}

// zoneCut cuts a zone off from the others. Within it all goes on.
func (w *World) zoneCut(f Fault) {
	struck := w.zone(f)
	if len(struck) > 0 {
		w.sometimes(zoneCut)
	}
	for _, a := range struck {
		for _, b := range w.nodes {
			if b.zone != a.zone {
				w.net.cut[[2]string{a.host, b.host}] = true
				w.net.cut[[2]string{b.host, a.host}] = true
			}
		}
	}
}
