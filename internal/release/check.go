package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The build list of a program that uses sqllock on PostgreSQL must not be longer than this, nor
// have a module whose path contains one of these.
const longestBuildList = 30

var unwanted = []string{
	"docker", "moby", "golang-migrate", "testcontainers", "opentelemetry", "prometheus", "Azure", "cobra",
	"go-sql-driver", "mssqldb", "modernc.org",
}

const userProgram = `package main

import (
	"context"
	"database/sql"
	"log"

	"github.com/sqllock/sqllock/dialect/postgres"
	"github.com/sqllock/sqllock/sqllock"
)

func main() {
	db, err := sql.Open("pgx", "")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := sqllock.New(context.Background(), postgres.New(db), nil); err != nil {
		log.Fatal(err)
	}
}
`

// check builds what users build, from the published tree. It returns the go.sum that the main
// module has with this version.
func (r *repository) check() (sums []byte, err error) {
	err = r.published(func(p published) error {
		user, staged, main := p.user, p.staged, r.modules[0].path
		for _, step := range []func() error{
			func() error {
				return r.checkCommand(user, p.bin, main+"/cmd/sqllock-migrate", "CREATE TABLE sqllock_locks",
					"schema", "postgres")
			},
			func() error {
				return r.checkCommand(user, p.bin, main+"/cmd/sqllock", "GRANT SELECT ON sqllock_locks",
					"grants", "postgres", "--role", "reader")
			},
			func() error { return r.checkProgram(user, filepath.Join(p.dir, "program")) },
			func() error { return user.run(staged, "vet", "./...") },
			func() error { return user.run(staged, "mod", "tidy", "-diff") },
			func() error { return r.checkApart(user, staged) },
		} {
			if err := step(); err != nil {
				return err
			}
		}
		sums, err = os.ReadFile(filepath.Join(staged, "go.sum"))
		return err
	})
	return sums, err
}

// test runs the tests of each published module but the main one, each from a program that requires
// that module only.
func (r *repository) test() error {
	return r.published(func(p published) error {
		for _, m := range r.modules[1:] {
			dir := filepath.Join(p.dir, "tests", m.dir)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
			for _, args := range [][]string{
				{"mod", "init", "example.com/tests"},
				{"mod", "edit", "-require=" + m.path + "@" + r.version},
				{"test", m.path + "/..."},
			} {
				if err := p.user.run(dir, args...); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// published is a temporary module proxy that has this tree, as if it were released.
type published struct {
	dir    string // has all that is temporary
	staged string // the tree itself
	bin    string // where user installs commands
	user   environment
}

// published publishes this tree in a temporary module proxy, and calls f.
func (r *repository) published(f func(published) error) (err error) {
	dir, err := os.MkdirTemp("", "release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	staged, proxy, bin := filepath.Join(dir, "staged"), filepath.Join(dir, "proxy"), filepath.Join(dir, "bin")
	if err := errors.Join(r.stage(staged), r.publish(staged, proxy)); err != nil {
		return err
	}
	proxies, err := output(r.root, nil, "go", "env", "GOPROXY")
	if err != nil {
		return err
	}
	if err := r.forget(); err != nil { // what a check of the same version has left that was killed
		return err
	}

	defer func() { err = errors.Join(err, r.forget()) }()
	return f(published{dir, staged, bin, environment{
		"GOWORK=off", "GOFLAGS=-mod=mod", "GOSUMDB=off", "GOBIN=" + bin,
		"GOPROXY=file://" + proxy + "," + proxies, "GOPRIVATE=", "GONOPROXY=none",
	}})
}

// environment is what the commands of a user have in their environment besides ours.
type environment []string

// run runs the go command. It prints the arguments first, since that takes a while.
func (e environment) run(dir string, args ...string) error {
	fmt.Fprintln(os.Stdout, "go", strings.Join(args, " "))
	_, err := output(dir, e, "go", args...)
	return err
}

// checkCommand installs a command and runs it. It must print prints.
func (r *repository) checkCommand(user environment, bin, path, prints string, args ...string) error {
	if err := user.run(os.TempDir(), "install", path+"@"+r.version); err != nil {
		return err
	}
	printed, err := output(bin, nil, filepath.Join(bin, filepath.Base(path)), args...)
	if err == nil && !strings.Contains(printed, prints) {
		err = fmt.Errorf("the installed command doesn't print %q: %s", prints, printed)
	}
	return err
}

// checkProgram builds a program that uses sqllock on PostgreSQL, and looks at its build list.
func (r *repository) checkProgram(user environment, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(userProgram), 0o600); err != nil {
		return err
	}
	main := r.modules[0].path
	for _, args := range [][]string{
		{"mod", "init", "example.com/program"},
		{"get", main + "/sqllock@" + r.version, main + "/dialect/postgres@" + r.version},
		{"mod", "tidy"},
		{"build", "-o", os.DevNull, "."},
	} {
		if err := user.run(dir, args...); err != nil {
			return err
		}
	}
	list, err := output(dir, user, "go", "list", "-m", "all")
	if err != nil {
		return err
	}
	modules := strings.Split(list, "\n")[1:] // without the program itself
	fmt.Fprintf(os.Stdout, "%d modules in the build list of a program that uses sqllock on PostgreSQL\n", len(modules))
	if len(modules) > longestBuildList {
		return fmt.Errorf("the build list has %d modules; want %d at most:\n%s", len(modules), longestBuildList, list)
	}
	for _, m := range modules {
		for _, part := range unwanted {
			if strings.Contains(m, part) {
				return fmt.Errorf("the build list has %s:\n%s", m, list)
			}
		}
	}
	return nil
}

// checkApart lists the packages of the modules that are not released. Their go.mod must agree with
// what the released modules now require.
func (r *repository) checkApart(user environment, staged string) error {
	names, err := r.git("ls-files", "*/go.mod")
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(names, "\n") {
		dir := filepath.Dir(name)
		if slices.ContainsFunc(r.modules, func(m goModule) bool { return m.dir == dir }) {
			continue
		}
		readonly := append(slices.Clone(user), "GOFLAGS=-mod=readonly")
		if err := readonly.run(filepath.Join(staged, dir), "list", "-deps", "./..."); err != nil {
			return err
		}
	}
	return nil
}

// forget removes from the module cache what the check has put there.
func (r *repository) forget() error {
	cache, err := output(r.root, nil, "go", "env", "GOMODCACHE")
	if err != nil {
		return err
	}
	for _, m := range r.modules {
		folder := filepath.Join(cache, m.path+"@"+r.version)
		err = errors.Join(err, filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(path, 0o700) // the cache is read-only
			}
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			return err
		}), os.RemoveAll(folder))
		versions := filepath.Join(cache, "cache", "download", m.path, "@v")
		files, globErr := filepath.Glob(filepath.Join(versions, r.version+".*"))
		err = errors.Join(err, globErr)
		for _, file := range append(files, filepath.Join(versions, "list")) {
			if removeErr := os.Remove(file); !errors.Is(removeErr, os.ErrNotExist) {
				err = errors.Join(err, removeErr)
			}
		}
	}
	return err
}
