// Command mutants checks the checks: it plants bugs that real systems had and
// sees to it that the tests find each of them.
//
// A bug is a file in testdata, see [mutant]: what it is, which system had it,
// how the code is changed, and who has to notice. The change is laid over the
// tree for the Go command alone (go test -overlay), so that nothing in the
// tree is touched and nothing of it is in the product.
//
// It is run by `make mutants` and `make mutants-fast`, from the module's root.
// It is no mutation tester that changes operators at random: each mutant here
// is a mistake that somebody made.
//
//	go run ./test/mutants [-fast] [-all] [-only NAME,…] [-v]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	fast := flag.Bool("fast", false, "only the mutants that are marked as fast")
	all := flag.Bool("all", false, "try every killer of a mutant, not only until one has killed it; each must")
	only := flag.String("only", "", "only these mutants, by name, separated by commas")
	verbose := flag.Bool("v", false, "print what a killer prints")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, options{*fast, *all, strings.FieldsFunc(*only, func(r rune) bool { return r == ',' }), *verbose}); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		stop()
		os.Exit(1)
	}
}

type options struct {
	fast, all bool
	only      []string
	verbose   bool
}

// run prints a line for each mutant as soon as it is known, and at last a
// summary. The error says that one survived, or could not be tried.
func run(ctx context.Context, opt options) error {
	mutants, err := load("test/mutants/testdata")
	if err != nil {
		return err
	}
	mutants, err = choose(mutants, opt)
	if err != nil {
		return err
	}
	begun := time.Now()
	by := map[string]int{}
	var wrong []string
	fmt.Printf("%-28s %-9s %-*s %8s\n", "mutant", "killed by", width, "test, or seeds needed", "seconds")
	for _, m := range mutants {
		for _, o := range m.try(ctx, opt) {
			fmt.Printf("%-28s %-9s %-*s %8.1f\n", m.name, o.layer, width, o.by, o.took.Seconds())
			if o.killed {
				by[o.layer]++
			} else {
				wrong = append(wrong, m.name+": "+o.by)
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	fmt.Printf("%d mutants in %.0f s; killed by layer: %s\n", len(mutants), time.Since(begun).Seconds(), counts(by))
	if len(wrong) > 0 {
		return fmt.Errorf("%d went wrong:\n  %s", len(wrong), strings.Join(wrong, "\n  "))
	}
	return nil
}

// choose leaves the mutants that the options ask for.
func choose(mutants []mutant, opt options) ([]mutant, error) {
	for _, name := range opt.only {
		if !slices.ContainsFunc(mutants, func(m mutant) bool { return m.name == name }) {
			return nil, fmt.Errorf("no mutant is called %q", name)
		}
	}
	return slices.DeleteFunc(mutants, func(m mutant) bool {
		return opt.fast && !m.fast || len(opt.only) > 0 && !slices.Contains(opt.only, m.name)
	}), nil
}

func counts(by map[string]int) string {
	var parts []string
	for _, layer := range layers {
		if by[layer] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", layer, by[layer]))
		}
	}
	return strings.Join(parts, ", ")
}
