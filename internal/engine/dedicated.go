package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// Dedicated is one connection outside any pool. Unlike a *sql.Conn, which goes back to its pool with what its session
// holds, it ends when it is closed.
type Dedicated struct {
	*sql.Conn
	db    *sql.DB
	open  context.Context
	close context.CancelFunc
}

// Dial opens a connection that nobody else has.
func Dial(ctx context.Context, connector driver.Connector) (*Dedicated, error) {
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(-1) // what is given back is closed
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	d := &Dedicated{Conn: conn, db: db}
	d.open, d.close = context.WithCancel(context.WithoutCancel(ctx))
	return d, nil
}

// Within is the context for a call that has to end with ctx, or when the connection is closed.
func (d *Dedicated) Within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(d.open, cancel)
	return ctx, func() { stop(); cancel() }
}

// Close ends the connection. Calls that are under way Within it end first. A second Close does nothing.
func (d *Dedicated) Close() error {
	d.close()
	err := d.Conn.Close()
	if errors.Is(err, sql.ErrConnDone) {
		err = nil
	}
	return errors.Join(err, d.db.Close())
}
