// Command release checks, and makes, a release of all modules of this repository.
//
//	release test       runs the tests of each module alone, from this tree as if it were released
//	release check      builds what users build, from this tree as if it were released
//	release v1.2.3     checks the same, then commits the version and tags each module
//
// All of them publish every module in a module proxy of files.
//
// The test runs the tests of a module from the module cache. There they have neither the files of
// another module, nor the workspace, nor a requirement that their own go.mod lacks.
//
// With nothing but the proxy, the check installs the commands, builds the main module without
// its workspace, and builds a program that uses sqllock on PostgreSQL. It fails if that program's
// build list has more than sqllock, pgx and what these require.
//
// They run the go command. They need git, and the network or a module cache that has all
// requirements.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New(`want one argument: "test", "check", or the version to release, as v1.2.3`)
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	r, err := open(root)
	if err != nil {
		return err
	}
	r.version = "v0.0.0-check." + time.Now().UTC().Format("20060102150405") + fmt.Sprintf(".%d", os.Getpid())
	switch args[0] {
	case "test":
		return r.test()
	case "check":
		_, err := r.check()
		return err
	}
	r.version = args[0]
	return r.release()
}

// release rewrites the tree for the version, checks it, commits and tags. After an error the
// repository is as it was.
func (r *repository) release() (err error) {
	if semver.Canonical(r.version) != r.version {
		return fmt.Errorf("%q is no version of a release: write it as v1.2.3", r.version)
	}
	changed, err := r.git("status", "--porcelain", "--untracked-files=all")
	if err != nil {
		return err
	}
	if changed != "" {
		return fmt.Errorf("commit first what is changed:\n%s", changed)
	}
	for _, tag := range r.tags() {
		if _, err := r.git("rev-parse", "--verify", "--quiet", "refs/tags/"+tag); err == nil {
			return fmt.Errorf("the tag %s exists already", tag)
		}
	}
	if _, err := r.git("var", "GIT_COMMITTER_IDENT"); err != nil {
		return err
	}
	before, err := r.git("rev-parse", "HEAD")
	if err != nil {
		return err
	}
	sums, err := r.check()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, failed := r.git("reset", "--quiet", "--hard", before)
			err = errors.Join(err, failed)
		}
	}()
	if err := r.requireVersion(r.root); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(r.root, "go.sum"), sums, 0o600); err != nil {
		return err
	}
	if _, err := r.git("commit", "--quiet", "--all", "--message", "sqllock "+r.version); err != nil {
		return err
	}
	if err := r.tag(); err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "Committed and tagged %s. To publish it:\n\n\tgit push --atomic origin HEAD %s\n",
		r.version, strings.Join(r.tags(), " "))
	return nil
}

// tag tags every module, or none.
func (r *repository) tag() error {
	for i, tag := range r.tags() {
		if _, err := r.git("tag", "--annotate", "--message", "sqllock "+r.version, tag); err != nil {
			for _, made := range r.tags()[:i] {
				_, failed := r.git("tag", "--delete", made)
				err = errors.Join(err, failed)
			}
			return err
		}
	}
	return nil
}

// tags returns the tag of each module: the version, after the module's folder.
func (r *repository) tags() []string {
	var tags []string
	for _, m := range r.modules {
		tags = append(tags, strings.TrimPrefix(filepath.ToSlash(filepath.Join(m.dir, r.version)), "./"))
	}
	slices.Sort(tags)
	return tags
}
