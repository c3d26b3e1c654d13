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

// engine is what there is to know of one kind of server.
type engine struct {
	name     string
	embedded bool // no server at all, and none of what follows
	nodes    int  // of a cluster; 0 for a server by itself

	scheme    string // of its URLs
	parameter string // of the URL, which names the database; empty: the path does
	open      func(*url.URL) (*sql.DB, error)
	create    string // the statement; %s is the quoted name
	inTurn    bool   // it refuses to make or drop two databases at once
	drop      string // likewise
	quote     string
	rootURL   func(host string, port int) *url.URL // of a server that we started
	image     string
	port      string // in the container
	variables map[string]string
	args      []string             // what the image's entrypoint hands to the server
	answers   func(*url.URL) error // how to see that it does, where that isn't a statement
	find      func() (*program, error)
	isA       func(root *url.URL) (standIn, error) // nil: it is itself
}

// program is an engine's server as it is installed on this machine.
type program struct {
	version string                 // what it is, byte for byte: data directories made by another version are not used
	ready   string                 // what it logs when it takes connections
	init    func(dir string) error // makes the data directory dir/data
	command func(dir string, port int, durable bool) []string
	bin     string // PostgreSQL: where pg_basebackup is; Galera: where its scripts are
}

// lookup finds the engine of that name.
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
	if major, ok := strings.CutPrefix(name, "postgres"); ok && slices.Contains([]string{"14", "15", "16", "17", "18", "19"}, major) {
		return postgres(major), nil
	}
	return nil, fmt.Errorf("there is no engine %q; the engines are %s", name, strings.Join(slices.Concat(Engines, installed), ", "))
}

// env is the name of the engine's variable in the environment: SQLLOCK_TEST_MYSQL_URL.
func (e *engine) env(what string) string {
	return "SQLLOCK_TEST_" + strings.ToUpper(e.name) + "_" + what
}

const patience = 30 * time.Second // for one statement on a busy machine

func (e *engine) exec(ctx context.Context, u *url.URL, statement string) error {
	db, err := e.open(u)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err = db.ExecContext(ctx, statement)
	return err
}

func (e *engine) ping(u *url.URL) error {
	if e.answers != nil {
		return e.answers(u)
	}
	return e.exec(context.Background(), u, "SELECT 1")
}

// changing is held while an engine makes or drops a database that can do only one of that at once.
var changing sync.Mutex

func (e *engine) createDatabase(ctx context.Context, root *url.URL) (*url.URL, error) {
	if e.inTurn {
		changing.Lock()
		defer changing.Unlock()
	}
	u := *root
	e.at(&u, "t_"+strings.ToLower(rand.Text()))
	if err := e.exec(ctx, root, fmt.Sprintf(cmp.Or(e.create, "CREATE DATABASE %s"), e.quoted(&u))); err != nil {
		return nil, fmt.Errorf("creating a database at %s: %w", root.Redacted(), err)
	}
	return &u, nil
}

func (e *engine) dropDatabase(root, u *url.URL) error {
	if e.inTurn {
		changing.Lock()
		defer changing.Unlock()
	}
	if err := e.exec(context.Background(), root, fmt.Sprintf(e.drop, e.quoted(u))); err != nil {
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

// quoted is the name of u's database, as a statement has it.
func (e *engine) quoted(u *url.URL) string {
	name := strings.TrimPrefix(u.Path, "/")
	if e.parameter != "" {
		name = u.Query().Get(e.parameter)
	}
	return e.quote + name + e.quote
}
