package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// builtCommand is a command that tests run as a user runs it. It is built once, for all tests of
// the process.
type builtCommand struct {
	name string
	from []string // what go build gets; if it is empty, it is a command of this module

	once sync.Once
	dir  string
	err  error
}

var (
	migrateBinary = &builtCommand{name: "sqllock-migrate"}
	sqllockBinary = &builtCommand{name: "sqllock"}
	// gooseBinary is the command of goose for PostgreSQL only, which applies migrations without a
	// lock.
	gooseBinary = &builtCommand{name: "goose", from: []string{
		"-modfile=../.ci/goose.mod", "-tags=no_clickhouse,no_libsql,no_mssql,no_mysql,no_sqlite3,no_vertica,no_ydb",
		"github.com/pressly/goose/v3/cmd/goose",
	}}
)

// path builds the command if that has not been done, and returns the path of the binary.
func (b *builtCommand) path(t *testing.T) string {
	t.Helper()
	b.once.Do(b.build)
	if b.err != nil {
		t.Fatal(b.err)
	}
	return filepath.Join(b.dir, b.name)
}

func (b *builtCommand) build() {
	if b.dir, b.err = os.MkdirTemp("", b.name+"-"); b.err != nil {
		return
	}
	args, workspace := []string{"../cmd/" + b.name}, os.Getenv("GOWORK")
	if b.from != nil {
		args, workspace = b.from, "off"
	}
	build := exec.CommandContext(context.Background(), "go", append([]string{"build", "-o", b.dir}, args...)...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK="+workspace)
	if out, err := build.CombinedOutput(); err != nil {
		b.err = fmt.Errorf("%w: %s", err, out)
	}
}

// remove removes the binary, if it was built.
func (b *builtCommand) remove() {
	if b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
}
