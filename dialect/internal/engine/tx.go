package engine

import (
	"context"
	"database/sql"

	"github.com/sqllock/sqllock/dialect"
)

// Tx is a transaction that the engine itself has begun.
type Tx interface {
	Session
	Commit() error
	Rollback() error // after Commit it only returns an error
}

// Conn is a connection of the application's pool.
type Conn interface {
	Begin(ctx context.Context) (Tx, error)
	Close() error // returns it to the pool
}

// Conns is the source of connections: the application's pool.
type Conns interface {
	// Begin begins a transaction on a free connection.
	Begin(ctx context.Context) (Tx, error)

	// Conn waits for a free connection until ctx ends.
	Conn(ctx context.Context) (Conn, error)

	// SecondConn is Conn for a caller that already has one: it doesn't wait for long if the pool is
	// too small.
	SecondConn(ctx context.Context) (Conn, error)
}

// SQLConns returns the connections of an *sql.DB.
func SQLConns(db *sql.DB) Conns { return sqlConns{db} }

type sqlConns struct{ db *sql.DB }

func (c sqlConns) Begin(ctx context.Context) (Tx, error) { return begin(ctx, c.db) }

func (c sqlConns) Conn(ctx context.Context) (Conn, error) {
	conn, err := c.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return sqlConn{conn}, nil
}

func (c sqlConns) SecondConn(ctx context.Context) (Conn, error) {
	conn, err := SecondConn(ctx, c.db)
	if err != nil {
		return nil, err
	}
	return sqlConn{conn}, nil
}

type sqlConn struct{ *sql.Conn }

func (c sqlConn) Begin(ctx context.Context) (Tx, error) { return begin(ctx, c.Conn) }

// begin begins a transaction on a pool or a connection of database/sql.
func begin(ctx context.Context, on interface {
	BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error)
},
) (Tx, error) {
	tx, err := on.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	return OwnTx(tx), nil
}

// OwnTx returns a *sql.Tx as a Tx.
func OwnTx(tx *sql.Tx) Tx {
	return struct {
		dialect.Tx
		dialect.Querier
		ending
	}{dialect.SQL(tx), tx, tx}
}

type ending interface {
	Commit() error
	Rollback() error
}
