// Command simulate runs the simulator of sqllock/internal/simulate: many processes with the real
// core, on a database in memory, in simulated time, with everything that goes wrong.
// `make simulate` and `make simulate-mutants` run it.
//
//	simulate -for 1h               says what it has done; fails with a seed and a short schedule
//	simulate -seed 4711 -for 1s    repeats a run
//	simulate -mutant NAME          simulates a core with a bug, which has to be detected
//	simulate -mutants -for 1m      does that for every mutant, and prints a table
//	simulate -list                 lists the mutants
//
// It builds the simulator with an overlay: the go command compiles some files in an edited form, so
// that all randomness comes from the seed, and so that a mutant needs no other copy of the source.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	s := settings{shorten: true}
	flag.DurationVar(&s.lasts, "for", time.Minute, "how long to simulate; for each mutant with -mutants")
	flag.Uint64Var(&s.seed, "seed", 0, "the first seed; by default a fresh one")
	flag.IntVar(&s.workers, "workers", runtime.NumCPU(), "how many rounds run at a time")
	name := flag.String("mutant", "", "simulate this mutant of the core; with -mutants, begin with it")
	all := flag.Bool("mutants", false, "simulate every mutant, and print which were detected")
	list := flag.Bool("list", false, "list the mutants")
	flag.Parse()
	switch {
	case *list:
		for _, m := range mutants {
			fmt.Fprintf(os.Stdout, "%-28s %s\n", m.name, m.what)
		}
		return nil
	case *all:
		return table(ctx, s, *name)
	}
	var edits []edit
	if *name != "" {
		m, err := mutantOf(*name)
		if err != nil {
			return err
		}
		edits, s.seed = m.edits, max(s.seed, 1)
	}
	if s.seed == 0 {
		s.seed = rand.Uint64N(1 << 40)
	}
	return once(ctx, edits, s)
}

// once simulates, and prints every ten seconds what was done.
func once(ctx context.Context, edits []edit, s settings) error {
	program, remove, err := build(edits)
	if err != nil {
		return err
	}
	defer remove()
	fmt.Fprintf(os.Stdout, "simulating for %s on %d cores, from seed %d\n", s.lasts, s.workers, s.seed)
	began, printed := time.Now(), time.Now()
	did, failure, err := simulate(ctx, program, s, func(f figures) {
		if time.Since(printed) > 10*time.Second {
			printed = time.Now()
			fmt.Fprintln(os.Stdout, f)
		}
	})
	took := time.Since(began)
	fmt.Fprintf(os.Stdout, "%s in %s: %.0f process-years an hour\n",
		did, took.Round(time.Second), did.Years/took.Hours())
	switch {
	case err != nil:
		return err
	case failure != "":
		return errors.New(failure)
	}
	return ctx.Err()
}

// table simulates each mutant, from one on, until it is detected, and prints a table.
func table(ctx context.Context, s settings, from string) error {
	s.shorten, s.seed = false, max(s.seed, 1)
	mutants := mutants[max(slices.IndexFunc(mutants, func(m mutant) bool { return m.name == from }), 0):]
	var survived []string
	fmt.Fprintln(os.Stdout, "| mutant | what it drops | detected by | after |\n| --- | --- | --- | --- |")
	for _, m := range mutants {
		began := time.Now()
		did, failure, err := attack(ctx, m, s)
		if err != nil {
			return fmt.Errorf("mutant %s: %w", m.name, err)
		}
		by, after := invariantOf(failure), time.Since(began).Round(100*time.Millisecond).String()
		if failure == "" {
			survived = append(survived, m.name)
			by, after = "**survived**", fmt.Sprintf("%s, %d rounds", after, did.Rounds)
		}
		fmt.Fprintf(os.Stdout, "| %s | %s | %s | %s |\n", m.name, m.what, by, after)
	}
	fmt.Fprintf(os.Stdout, "\n%d of %d mutants were detected\n", len(mutants)-len(survived), len(mutants))
	if len(survived) > 0 {
		return fmt.Errorf("not detected: %s", strings.Join(survived, ", "))
	}
	return nil
}

// attack simulates a mutant. failure is empty if that wasn't detected.
func attack(ctx context.Context, m mutant, s settings) (did figures, failure string, err error) {
	program, remove, err := build(m.edits)
	if err != nil {
		return did, "", err
	}
	defer remove()
	if did, failure, err = simulate(ctx, program, s, nil); err == nil {
		err = ctx.Err()
	}
	return did, failure, err
}

// invariantOf returns the invariant that a failure is about.
func invariantOf(failure string) string {
	for line := range strings.Lines(failure) {
		if _, text, ok := strings.Cut(line, "BROKEN: "); ok {
			return strings.TrimSpace(text)
		}
	}
	first, _, _ := strings.Cut(failure, "\n")
	return "a hang, or a crash: " + first
}
