package main

import "fmt"

// mutant is the core with a bug.
type mutant struct {
	name  string
	what  string // the condition that it drops or weakens
	edits []edit
}

func mutantOf(name string) (mutant, error) {
	for _, m := range mutants {
		if m.name == name {
			return m, nil
		}
	}
	return mutant{}, fmt.Errorf("there is no mutant %q; -list lists them", name)
}

var mutants = []mutant{}
