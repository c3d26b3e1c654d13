// Package show is what examples with several processes share: a database to run on, and a director that starts the example's
// own program again for each process, and prints what those tell.
package show

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sqllock/sqllock/dialect/open"
	"github.com/sqllock/sqllock/migrations"
)

// urlEnv names the database to run on; none: a SQLite file of the example's own.
const urlEnv = "SQLLOCK_DATABASE_URL"

// Show is one run of an example. It is for one goroutine.
type Show struct {
	DB *open.Database // what it runs on, with sqllock's tables

	url     string
	dir     string // removed in the end
	out     io.Writer
	began   time.Time
	lines   chan line
	playing map[string]*exec.Cmd
	ended   map[string]bool // of those playing: they told all they had to tell
}

// Open makes a show that prints to out: with sqllock's tables, and the example's own as its statements make them.
func Open(ctx context.Context, out io.Writer, statements ...string) (*Show, error) {
	s := &Show{
		url: os.Getenv(urlEnv), out: out, began: time.Now(), lines: make(chan line, 100),
		playing: make(map[string]*exec.Cmd), ended: make(map[string]bool),
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

func (s *Show) prepare(ctx context.Context, statements []string) (err error) {
	if s.DB, err = open.URL(s.url); err != nil {
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

// Database is the show's database, for one of its processes.
func Database() (*open.Database, error) { return open.URL(os.Getenv(urlEnv)) }

// Say prints a line with the time.
func (s *Show) Say(who, what string) {
	fmt.Fprintf(s.out, "%6.2f s  %-10s  %s\n", time.Since(s.began).Seconds(), who, what)
}

// Close kills what is still playing, and removes the example's own database.
func (s *Show) Close() error {
	for _, cmd := range s.playing {
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
