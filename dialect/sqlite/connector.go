package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
)

// connector makes connections that can wait for as long as ctx lasts. The driver ignores ctx while
// it opens the file and applies the URL's settings, so nothing may wait then: busy_timeout is set
// at the end.
type connector struct {
	driver.Connector
	path        string // of the file
	busyTimeout int    // in milliseconds; less than 0: as the URL says in a _pragma
	wal         bool   // make the journal a write-ahead log
}

// Connect tries until it succeeds, fails for another reason than a locked file, or ctx ends. Some
// steps, such as making a new file a write-ahead log, take locks for which SQLite returns
// SQLITE_BUSY at once, in spite of busy_timeout, while others do the same.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	return whenFree(ctx, c.path, func() (driver.Conn, error) { return c.connect(ctx) })
}

func (c connector) connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if c.wal {
		err = pragma(ctx, conn, "journal_mode = WAL")
	}
	if err == nil && c.busyTimeout >= 0 {
		err = pragma(ctx, conn, fmt.Sprintf("busy_timeout = %d", c.busyTimeout))
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return track(conn, c.path), nil
}

func pragma(ctx context.Context, conn driver.Conn, what string) error {
	execer, ok := conn.(driver.ExecerContext)
	if !ok {
		return driver.ErrSkip // not this driver
	}
	_, err := execer.ExecContext(ctx, "PRAGMA "+what, nil)
	return err
}
