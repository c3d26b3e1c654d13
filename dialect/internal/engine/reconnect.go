package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// Reconnect closes those idle connections of db whose server answers query with true, which means
// that it takes no writes, or doesn't answer. end closes the driver's connection, if closing that
// of database/sql would only return it to another pool; it may be nil.
func Reconnect(ctx context.Context, db *sql.DB, query string, end func(raw any)) error {
	if db == nil {
		return nil
	}
	var taken []*sql.Conn // all at once: the pool would lend out the same one again
	defer func() {
		for _, conn := range taken {
			_ = conn.Close() // it only returns the connection to the pool
		}
	}()
	for range db.Stats().Idle {
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		taken = append(taken, conn)
		var readOnly bool
		if err := conn.QueryRowContext(ctx, query).Scan(&readOnly); err == nil && !readOnly {
			continue
		}
		err = conn.Raw(func(raw any) error {
			if end != nil {
				end(raw)
			}
			return driver.ErrBadConn // database/sql closes the connection
		})
		if err != nil && !errors.Is(err, driver.ErrBadConn) {
			return err
		}
	}
	return nil
}
