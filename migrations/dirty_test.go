package migrations_test

import (
	"database/sql"
	"errors"
	"testing"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/sqllock/sqllock/migrations"
)

// changed is a driver whose version another process makes dirty after the first look, as on a Galera cluster, where the
// lock is a node's own.
type changed struct {
	database.Driver
	looks int
}

func (d *changed) Version() (version int, dirty bool, err error) {
	d.looks++
	return 1, d.looks > 1, nil
}

// golang-migrate refuses to begin then, and never reads the file: nothing waits for that.
func TestDirtyAtTheLastMoment(t *testing.T) {
	beside := *engine
	beside.Driver = func(db *sql.DB, table string) (database.Driver, error) {
		driver, err := engine.Driver(db, table)
		return &changed{Driver: driver}, err
	}
	err := migrations.Up(t.Context(), open(t, newFile(t)), &beside)
	if dirty, ok := errors.AsType[*migrations.DirtyError](err); !ok || dirty.Version != 1 {
		t.Errorf("%v; want a DirtyError for version 1", err)
	}
}
