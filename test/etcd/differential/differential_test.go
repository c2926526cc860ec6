package differential

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/musterhq/muster/internal/testcert"
	"github.com/musterhq/muster/test/etcd/internal/system"
)

var (
	seeds   = flag.Int("seeds", 30, "how many programs are played in each area")
	first   = flag.Uint64("first", 1, "seed of the first program")
	against = flag.String("against", "muster", "what is held to etcd: muster or etcd")
)

func TestKV(t *testing.T)    { run(t, kvProgram) }
func TestLease(t *testing.T) { run(t, leaseProgram) }
func TestWatch(t *testing.T) { runSome(t, (*seeds+1)/2, watchProgram) }
func TestAuth(t *testing.T)  { run(t, authProgram) }

func TestLock(t *testing.T) { run(t, lockProgram) }

// TestContest has clients wait for each other.
func TestContest(t *testing.T) { runSome(t, (*seeds+2)/3, contestProgram) }

// TestGateway sends JSON.
func TestGateway(t *testing.T) { run(t, gatewayProgram) }

// TestGuarded is about watches of users.
func TestGuarded(t *testing.T) { runSome(t, (*seeds+3)/4, guardedProgram) }

// TestCluster also asks the Maintenance service.
func TestCluster(t *testing.T) { run(t, clusterProgram) }

// TestCertificates has all clients show the certificate of a user, which counts
// where a request has no token.
func TestCertificates(t *testing.T) {
	ca := testcert.New(t, "ca")
	user := ca.Issue("u1", -time.Hour, time.Hour)
	files := system.Files{CA: ca.File, Cert: user.Cert, Key: user.Key}
	kinds := [2]system.Kind{system.Etcd.TLS(files), kindOf(t).TLS(files)}
	newPairOf(t, kinds, 1).run(t, (*seeds+4)/5, certificateProgram)
}

// TestRestart stops and kills, and compares all that is there afterwards.
// Like the others that wait more than they work it runs beside them.
func TestRestart(t *testing.T) {
	t.Parallel()
	runSome(t, (*seeds+14)/15, restartProgram)
}

// TestThree asks one of three members each time.
func TestThree(t *testing.T) {
	t.Parallel()
	runOn(t, 3, (*seeds+4)/5, threeProgram)
}

// TestRestartThree plays in long runs alone: nearly all of its time is waiting.
func TestRestartThree(t *testing.T) {
	t.Parallel()
	runOn(t, 3, *seeds/50, restartThreeProgram)
}

// TestMany plays fewer, for each has thousands of keys.
func TestMany(t *testing.T) { runSome(t, (*seeds+9)/10, manyProgram) }

// TestLarge plays fewer, for each moves some 50 MB.
func TestLarge(t *testing.T) { runSome(t, (*seeds+9)/10, sizeProgram) }

// tooMany programs that fail end a test.
const tooMany = 5

// run plays the programs of an area. After one that fails the others are
// played still, on fresh systems, up to a few.
func run(t *testing.T, make func(*gen) program) { runSome(t, *seeds, make) }

func runSome(t *testing.T, seeds int, make func(*gen) program) { runOn(t, 1, seeds, make) }

// runOn plays them on systems of that many members.
func runOn(t *testing.T, size, seeds int, make func(*gen) program) {
	if seeds == 0 {
		t.Skip("no seeds")
	}
	newPair(t, kindOf(t), size).run(t, seeds, make)
}

func (p *pair) run(t *testing.T, seeds int, make func(*gen) program) {
	kind := p.kinds[1]
	steps, failed := 0, 0
	for seed := *first; seed < *first+uint64(seeds); seed++ {
		g := newGen(seed)
		prog := g.odd(make(g))
		steps += len(prog.steps)
		d, err := p.play(prog)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, list(prog.steps))
		}
		if d == nil {
			continue
		}
		prog, d = shrink(prog, d, func(less program) *difference {
			d, err := p.play(less)
			if err != nil {
				t.Fatalf("seed %d, while shrinking: %v\n%s", seed, err, list(less.steps))
			}
			return d
		})
		t.Errorf("seed %d: etcd and %s differ in the answer to the last of these steps:\n%s\n    etcd: %s\n  %s: %s",
			seed, kind.Name, list(prog.steps), d.want, kind.Name, d.got)
		if failed++; failed == tooMany {
			t.Fatalf("seed %d: so many failed that the others are not played", seed)
		}
		p.renew()
	}
	t.Logf("%d programs, %d steps", seeds, steps)
}

// kindOf is the kind of system that -against names.
func kindOf(t *testing.T) system.Kind {
	for _, k := range system.Kinds() {
		if k.Name == *against {
			return k
		}
	}
	t.Fatalf("there is no system %q: choose etcd or muster", *against)
	return system.Kind{}
}

func list(steps []Step) string {
	var b strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&b, "  %s\n", s)
	}
	return b.String()
}
