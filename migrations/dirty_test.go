package migrations_test

import (
	"database/sql"
	"errors"
	"testing"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/sqllock/sqllock/migrations"
)

// changed is a driver whose version another process makes dirty after the first read. This happens
// on a Galera cluster, where the lock is local to a node.
type changed struct {
	database.Driver
	looks int
}

func (d *changed) Version() (version int, dirty bool, err error) {
	d.looks++
	return 1, d.looks > 1, nil
}

// In that case golang-migrate refuses to begin, and never reads the file. Nothing may wait for
// that.
func TestDirtyAtTheLastMoment(t *testing.T) {
	beside := *engine
	beside.Driver = func(table string) (migrations.Driver, error) {
		made, err := engine.Driver(table)
		newDriver := made.New
		made.New = func(db *sql.DB) (database.Driver, string, error) {
			driver, table, err := newDriver(db)
			return &changed{Driver: driver}, table, err
		}
		return made, err
	}
	err := migrations.Up(t.Context(), open(t, newFile(t)), &beside)
	if dirty, ok := errors.AsType[*migrations.DirtyError](err); !ok || dirty.Version != 1 {
		t.Errorf("%v; want a DirtyError for version 1", err)
	}
}
