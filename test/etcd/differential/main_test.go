package differential

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// waiting is how many tests run at once that wait more than they work, on however
// few processors, unless -parallel says otherwise.
const waiting = 8

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		if err := flag.Set("test.parallel", fmt.Sprint(waiting)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}
