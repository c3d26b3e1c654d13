package servers

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// engine has what this package needs to know about one kind of server.
type engine struct {
	name     string
	embedded bool // there is no server, and the fields below are unset
	nodes    int  // of a cluster; 0 for a single server

	scheme    string // of its URLs
	parameter string // the URL's parameter that names the database; empty if the path does
	open      func(*url.URL) (*sql.DB, error)

	// recycle empties a database for another test. If it is nil, databases are dropped.
	recycle func(ctx context.Context, e *engine, root, used *url.URL) (*url.URL, error)

	create     string // the statement that creates a database; %s is the quoted name
	oneAtATime bool   // it can't create or drop two databases at once
	drop       string // likewise
	quote      string
	rootURL    func(host string, port int) *url.URL // of a server that this package started
	image      string
	port       string // in the container
	variables  map[string]string
	args       []string             // what the image's entrypoint passes to the server
	responds   func(*url.URL) error // checks that the server responds; nil if a statement does that
	find       func() (*program, error)
	isA        func(root *url.URL) (substitute, error) // nil if it is always the engine itself
}

// program is an engine's server as installed on this machine.
type program struct {
	version string                 // its output for --version; data directories of other versions are not used
	ready   string                 // what it logs when it accepts connections
	init    func(dir string) error // creates the data directory dir/data
	command func(dir string, port int, durable bool) []string
	bin     string // PostgreSQL: where pg_basebackup is; Galera: where its scripts are
}

// lookup returns the engine of that name.
func lookup(name string) (*engine, error) {
	switch name {
	case "sqlite":
		return &engine{name: name, embedded: true}, nil
	case "mysql":
		return mysql(), nil
	case "mariadb":
		return mariadb(), nil
	case "sqlserver":
		return sqlServer(), nil
	case "galera":
		return galera(), nil
	}
	majors := []string{"14", "15", "16", "17", "18", "19"}
	if major, ok := strings.CutPrefix(name, "postgres"); ok && slices.Contains(majors, major) {
		return postgres(major), nil
	}
	known := strings.Join(slices.Concat(Engines, installed), ", ")
	return nil, fmt.Errorf("there is no engine %q; the engines are %s", name, known)
}

// env returns the name of one of the engine's environment variables, such as
// SQLLOCK_TEST_MYSQL_URL.
func (e *engine) env(what string) string {
	return "SQLLOCK_TEST_" + strings.ToUpper(e.name) + "_" + what
}

const stepTimeout = 30 * time.Second // for one statement on a busy machine

func (e *engine) exec(ctx context.Context, u *url.URL, statement string) error {
	db, err := e.open(u)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	_, err = db.ExecContext(ctx, statement)
	return err
}

func (e *engine) ping(u *url.URL) error {
	if e.responds != nil {
		return e.responds(u)
	}
	return e.exec(context.Background(), u, "SELECT 1")
}

// admins has the pools through which databases are created and dropped, by the server's URL. Where
// a connection is a process of the server, a new connection for each statement would be much of its
// cost.
var admins sync.Map

func (e *engine) administrator(root *url.URL) (*sql.DB, error) {
	pool, ok := admins.Load(root.String())
	if !ok {
		db, err := e.open(root)
		if err != nil {
			return nil, err
		}
		var other bool
		if pool, other = admins.LoadOrStore(root.String(), db); other {
			_ = db.Close()
		}
	}
	return pool.(*sql.DB), nil
}

func (e *engine) administer(ctx context.Context, root *url.URL, statement string) error {
	db, err := e.administrator(root)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	if err := db.PingContext(ctx); err != nil { // a statement on a connection that has ended is not retried
		return err
	}
	_, err = db.ExecContext(ctx, statement)
	return err
}

// changing is held while a database is created or dropped on an engine with oneAtATime.
var changing sync.Mutex

func (e *engine) createDatabase(ctx context.Context, root *url.URL) (*url.URL, error) {
	if e.oneAtATime {
		changing.Lock()
		defer changing.Unlock()
	}
	u := e.randomDatabase(root)
	if err := e.administer(ctx, root, fmt.Sprintf(cmp.Or(e.create, "CREATE DATABASE %s"), e.quoted(u))); err != nil {
		return nil, fmt.Errorf("creating a database at %s: %w", root.Redacted(), err)
	}
	return u, nil
}

// randomDatabase returns the URL of a database that doesn't exist yet.
func (e *engine) randomDatabase(root *url.URL) *url.URL {
	u := *root
	e.at(&u, "t_"+strings.ToLower(rand.Text()))
	return &u
}

func (e *engine) dropDatabase(root, u *url.URL) error {
	if e.oneAtATime {
		changing.Lock()
		defer changing.Unlock()
	}
	if err := e.administer(context.Background(), root, fmt.Sprintf(e.drop, e.quoted(u))); err != nil {
		return fmt.Errorf("dropping the database %s: %w", u.Redacted(), err)
	}
	return nil
}

// at makes u name that database.
func (e *engine) at(u *url.URL, database string) {
	if e.parameter == "" {
		u.Path = "/" + database
		return
	}
	query := u.Query()
	query.Set(e.parameter, database)
	u.RawQuery = query.Encode()
}

// databaseOf returns the name of u's database.
func (e *engine) databaseOf(u *url.URL) string {
	if e.parameter != "" {
		return u.Query().Get(e.parameter)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// quoted returns the name of u's database, quoted for a statement.
func (e *engine) quoted(u *url.URL) string { return e.quote + e.databaseOf(u) + e.quote }
