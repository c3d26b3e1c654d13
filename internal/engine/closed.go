package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"sync"
)

// ErrDBClosed is database/sql's error for a closed *sql.DB, which it doesn't export.
var ErrDBClosed = sync.OnceValue(func() error {
	db := sql.OpenDB(Nowhere{})
	_ = db.Close() // never opened anything
	return db.PingContext(context.Background())
})

// Nowhere is a connector for a *sql.DB that isn't to connect.
type Nowhere struct{}

// Connect fails.
func (Nowhere) Connect(context.Context) (driver.Conn, error) { return nil, driver.ErrBadConn }

// Driver is nil.
func (Nowhere) Driver() driver.Driver { return nil }
