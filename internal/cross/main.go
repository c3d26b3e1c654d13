// Command cross type-checks packages, with their tests, for every platform that sqllock supports.
//
//	cross PACKAGE...
//
// It reads the sources of all dependencies too, but not the bodies of their functions. So it needs
// a few seconds for each platform, where a build would compile SQLite for each.
//
// It runs the go command, with cgo disabled. It ends with 1 if a package doesn't compile.
package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
)

// platform is a GOOS and a GOARCH.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

// platforms returns the supported platforms.
func platforms() (all []platform) {
	for _, system := range []string{"linux", "darwin", "windows", "freebsd"} {
		for _, arch := range []string{"amd64", "arm64"} {
			all = append(all, platform{system, arch})
		}
	}
	return all
}

func main() {
	if err := run("", os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cross:", err)
		os.Exit(1)
	}
}

// run checks the packages, which the go command finds in dir.
func run(dir string, patterns []string) error {
	if len(patterns) == 0 {
		return errors.New("the packages are missing: write cross ./... for all")
	}
	c, all := newChecker(), platforms()
	errs := make([]error, len(all))
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	var group sync.WaitGroup
	for i, p := range all {
		group.Go(func() {
			free <- struct{}{}
			defer func() { <-free }()
			n, err := c.check(dir, p, patterns)
			if err == nil {
				fmt.Fprintf(os.Stdout, "%-15s %d packages\n", p, n)
			}
			errs[i] = err
		})
	}
	group.Wait()
	return errors.Join(errs...)
}
