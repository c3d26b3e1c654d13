package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync"
)

// ErrDBClosed returns database/sql's error for a closed *sql.DB, which that package doesn't export.
var ErrDBClosed = sync.OnceValue(func() error {
	db := sql.OpenDB(NoConnector{})
	_ = db.Close() // it never opened anything
	return db.PingContext(context.Background())
})

// NoConnector is a connector for a *sql.DB that must not connect.
type NoConnector struct{}

// Connect fails.
func (NoConnector) Connect(context.Context) (driver.Conn, error) { return nil, driver.ErrBadConn }

// Driver returns nil.
func (NoConnector) Driver() driver.Driver { return nil }
