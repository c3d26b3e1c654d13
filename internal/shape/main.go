// Command shape prints figures about the form of the code, with the goal for each, and fails if one
// of them is worse than its limit. Run it by `make shape`.
//
// The goal is the wanted figure. The limit is the figure allowed today: it only moves towards the
// goal.
package main

import (
	"flag"
	"fmt"
	"os"
	"text/tabwriter"
)

// figure is one line of the table. Fewer is better for all of them.
type figure struct {
	name        string
	limit, goal int
	measure     func() (int, error)
}

var figures = []figure{
	{"methods of sqllock's largest type", 30, 30, largestType},
	{"files of package sqllock", 40, 40, filesOfPackage},
	{"arrows between files of package sqllock of which the reverse exists too, in percent", 10, 10, backArrows},
	{"functions that one uncontended Acquire enters", 54, 35, enteredFunctions},
	{"files that these are in", 17, 10, enteredFiles},
	{"retired words", 0, 0, func() (int, error) { return len(mustRetired()), nil }},
	{"comment lines over 100 columns", 0, 0, func() (int, error) {
		comments, _, err := longLines()
		return comments, err
	}},
	{"code lines over 120 columns", 0, 0, func() (int, error) { _, code, err := longLines(); return code, err }},
	{"modules in the build list of a program that imports sqllock and dialect/postgres", 19, 30, buildList},
}

func main() {
	list := flag.Bool("words", false, "list the retired words that are left, with their places")
	flag.Parse()
	if *list {
		for _, place := range mustRetired() {
			fmt.Fprintln(os.Stdout, place)
		}
		return
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "figure\ttoday\tlimit\tgoal")
	worse := false
	for _, f := range figures {
		n, err := f.measure()
		if err != nil {
			fmt.Fprintf(os.Stderr, "shape: %s: %v\n", f.name, err)
			os.Exit(2)
		}
		note := ""
		if n > f.limit {
			worse, note = true, "  WORSE THAN ITS LIMIT"
		}
		fmt.Fprintf(out, "%s\t%d\t%d\t%d%s\n", f.name, n, f.limit, f.goal, note)
	}
	out.Flush()
	if worse {
		os.Exit(1)
	}
}
