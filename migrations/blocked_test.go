package migrations_test

import (
	"github.com/golang-migrate/migrate/v4/database"
	"github.com/golang-migrate/migrate/v4/database/stub"
)

func init() { database.Register("blocked", blockedDriver{}) }

var (
	release = make(chan struct{})    // lets one driver have the lock
	closed  = make(chan struct{}, 9) // a driver was closed
)

// blockedDriver is like golang-migrate's for PostgreSQL while another process migrates: Open waits for the lock.
type blockedDriver struct{ database.Driver }

func (blockedDriver) Open(url string) (database.Driver, error) {
	<-release
	driver, err := (&stub.Stub{}).Open("stub://")
	return blockedDriver{driver}, err
}

func (blockedDriver) Close() error {
	closed <- struct{}{}
	return nil
}
