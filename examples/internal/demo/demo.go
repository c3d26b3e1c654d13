// Package demo has the common parts of the examples with several processes: a database to run on,
// and a [Demo] that starts the example's own program for each process and prints the output of all
// of them.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sqllock/sqllock/migrations"
)

// urlEnv names the database to run on. If it is unset the example uses its own SQLite file.
const urlEnv = "SQLLOCK_DATABASE_URL"

// Demo is one run of an example. It must be used by one goroutine.
type Demo struct {
	DB     *Database  // the database, with sqllock's tables
	OnLine func(Line) // called with each line of output, unless it is nil

	url     string
	dir     string // removed by Close
	out     io.Writer
	began   time.Time
	output  chan output
	running map[string]*exec.Cmd
	ended   map[string]bool // the running processes whose output has ended
}

// Open returns a Demo that prints to out. It creates sqllock's tables, and executes the statements,
// which create the example's own.
func Open(ctx context.Context, out io.Writer, statements ...string) (*Demo, error) {
	s := &Demo{
		url: os.Getenv(urlEnv), out: out, began: time.Now(), output: make(chan output, 100),
		running: make(map[string]*exec.Cmd), ended: make(map[string]bool),
	}
	if s.url == "" {
		var err error
		if s.dir, err = os.MkdirTemp("", "sqllock-example-"); err != nil {
			return nil, err
		}
		s.url = "sqlite://" + filepath.Join(s.dir, "example.db")
	}
	err := s.prepare(ctx, statements)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Demo) prepare(ctx context.Context, statements []string) (err error) {
	if s.DB, err = openURL(s.url); err != nil {
		return err
	}
	if err := migrations.Up(ctx, s.DB.DB, s.DB.Migrations); err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := s.DB.DB.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// OpenDatabase opens the demo's database in one of its processes.
func OpenDatabase() (*Database, error) { return openURL(os.Getenv(urlEnv)) }

// Say prints a line with the time and the name of a process.
func (s *Demo) Say(name, text string) {
	fmt.Fprintf(s.out, "%6.2f s  %-10s  %s\n", time.Since(s.began).Seconds(), name, text)
}

// Close kills the running processes and removes the example's own database.
func (s *Demo) Close() error {
	for _, cmd := range s.running {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	var err error
	if s.DB != nil {
		err = s.DB.DB.Close()
	}
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}
