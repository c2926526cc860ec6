package muster_test

import (
	"fmt"
	"log"

	"github.com/musterhq/muster"
)

// A majority of the members is gone for good. Of the survivors' directories, all
// of which are on this machine by now, the one that holds most goes on alone.
func ExampleForceNew() {
	var best muster.Inspection
	for _, dir := range []string{"/var/lib/a", "/var/lib/b"} {
		r, err := muster.Inspect(dir)
		if err != nil {
			log.Fatal(err)
		}
		if best.Dir == "" || r.Compare(&best) > 0 {
			best = r
		}
	}
	out, err := muster.ForceNew(best.Dir, muster.ForceNewOptions{Cluster: "orders"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s goes on alone with all entries to index %d; %d members are given up\n", out.Name, out.Kept, len(out.Lost))
}
