package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// edit replaces a text that must occur once in a file. The file is of this repository or, if it
// begins with "std:", of the Go distribution.
type edit struct{ file, from, to string }

// seeding takes the randomness of goroutines in a synctest bubble from a seed: which case of a
// select is taken, which of several timers of one moment comes first, jitter, and the order of
// maps. A goroutine isn't preempted because the machine is busy. The second clock of package clock,
// which also runs during suspend, becomes one that the simulator can move.
var seeding = []edit{
	{
		"std:runtime/rand.go", "func rand() uint64 {\n", `func rand() uint64 {
	if bubbleRand.seeded && getg().bubble != nil {
		return nextBubbleRand()
	}
`,
	},
	{"std:runtime/select.go", "j := cheaprandn(uint32(norder + 1))", "j := bubbleCheaprand() % uint32(norder+1)"},
	{"std:runtime/time.go", "t.rand = cheaprand()", "t.rand = bubbleCheaprand()"},
	{"std:runtime/sema.go", "s.ticket = cheaprand() | 1", "s.ticket = bubbleCheaprand() | 1"},
	{"std:runtime/rand.go", "// randn is like rand() % n but faster.\n", `var bubbleRand struct {
	seeded bool
	state  uint64
}

//go:linkname setBubbleSeed
func setBubbleSeed(seed uint64) {
	bubbleRand.seeded, bubbleRand.state = true, seed
}

//go:nosplit
func nextBubbleRand() uint64 {
	bubbleRand.state += 0xa0761d6478bd642f
	hi, lo := math.Mul64(bubbleRand.state, bubbleRand.state^0xe7037ed1a0b428db)
	return hi ^ lo
}

// bubbleCheaprand is cheaprand for what decides about the order of goroutines. The runtime also
// calls cheaprand for caches, which would make a run depend on the runs before it.
//
//go:nosplit
func bubbleCheaprand() uint32 {
	if bubbleRand.seeded && getg().bubble != nil {
		return uint32(nextBubbleRand() >> 32)
	}
	return cheaprand()
}

// randn is like rand() % n but faster.
`},
	{"std:runtime/proc.go", "const forcePreemptNS = 10 * 1000 * 1000", "const forcePreemptNS = 1e12"},
	{"std:runtime/proc.go", "if scavenger.sysmonWake.Load() != 0 {", "if false {"}, // it would run between the others
	{"sqllock/internal/clock/clock_linux.go", "import (\n", "import (\n\t\"sync/atomic\"\n"},
	{"sqllock/internal/clock/clock_linux.go", "func bootTime() time.Duration {\n", `func bootTime() time.Duration {
	return time.Since(started) + time.Duration(Suspended.Load())
}

// Suspended is for how long the simulated host was suspended.
var Suspended atomic.Int64

func realBootTime() time.Duration {
`},
}

// build builds the simulator with the edits. remove removes it, and what it was made of.
func build(edits []edit) (program string, remove func(), err error) {
	root, err := os.Getwd()
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "simulate")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	overlay, err := write(root, dir, slices.Concat(edits, seeding))
	if err != nil {
		remove()
		return "", nil, err
	}
	program = filepath.Join(dir, "simulate.test")
	cmd := exec.Command("go", "test", "-c", "-tags", "simulate", "-overlay", overlay, "-o", program,
		"./sqllock/internal/simulate")
	if out, err := cmd.CombinedOutput(); err != nil {
		remove()
		return "", nil, fmt.Errorf("%w: %s", err, out)
	}
	return program, remove, nil
}

// write writes the edited files, and the file that tells the go command about them.
func write(root, dir string, edits []edit) (overlay string, err error) {
	std, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	texts := make(map[string]string)
	for _, e := range edits {
		path := filepath.Join(root, e.file)
		if in, ok := strings.CutPrefix(e.file, "std:"); ok {
			path = filepath.Join(strings.TrimSpace(string(std)), "src", in)
		}
		text, read := texts[path]
		if !read {
			b, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			text = string(b)
		}
		if n := strings.Count(text, e.from); n != 1 {
			return "", fmt.Errorf("%s has %d times, and not once, what is to be replaced there: %q", path, n, e.from)
		}
		texts[path] = strings.Replace(text, e.from, e.to, 1)
	}
	replace := make(map[string]string)
	for path, text := range texts {
		edited := filepath.Join(dir, fmt.Sprint(len(replace), " ", filepath.Base(path)))
		if err := os.WriteFile(edited, []byte(text), 0o644); err != nil {
			return "", err
		}
		replace[path] = edited
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, b, 0o644)
}
