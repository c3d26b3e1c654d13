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

// builtCommand is a command of this module that tests run as a user runs it. It is built once, for
// all tests of the process.
type builtCommand struct {
	name string

	once sync.Once
	dir  string
	err  error
}

var (
	migrateBinary = &builtCommand{name: "sqllock-migrate"}
	sqllockBinary = &builtCommand{name: "sqllock"}
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
	build := exec.CommandContext(context.Background(), "go", "build", "-o", b.dir, "../cmd/"+b.name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
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
